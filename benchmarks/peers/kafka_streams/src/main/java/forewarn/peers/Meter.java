package forewarn.peers;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** The clock: it runs from the end of the warm-up to `stop`; the processor time is the whole process's. */
final class Meter {
    private static final double NANOS = 1e9;

    private final OperatingSystemMXBean process =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    private final long events;
    private final long warm;
    private long seen;
    private long beganNs;
    private long beganCpuNs;
    private long tookNs;
    private long tookCpuNs;

    Meter(long events, double warmShare) {
        this.events = events;
        this.warm = Math.max(1, (long) (events * warmShare));
    }

    /** Counts one event, and tells whether it was the last one. */
    boolean saw() {
        seen++;
        if (seen == warm) {
            beganNs = System.nanoTime();
            beganCpuNs = process.getProcessCpuTime();
        }
        return seen == events;
    }

    void stop() {
        tookNs = System.nanoTime() - beganNs;
        tookCpuNs = process.getProcessCpuTime() - beganCpuNs;
    }

    Map<String, Object> figures() throws IOException {
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("events", seen - warm);
        figures.put("seconds", tookNs / NANOS);
        figures.put("cpu_s", tookCpuNs / NANOS);
        figures.put("peak_rss_bytes", peakRssBytes());
        return figures;
    }

    /** The most memory that was ever resident, as the kernel counts it: heap, code and RocksDB alike. */
    private static long peakRssBytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
            }
        }
        throw new IOException("the kernel does not tell the peak of resident memory");
    }
}
