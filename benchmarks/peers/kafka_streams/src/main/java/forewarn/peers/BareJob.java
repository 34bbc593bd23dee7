package forewarn.peers;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The bare job in Kafka Streams: parse each event, count it for its subscriber, keep {count, last offset} in a store.
 *
 * <p>One stream thread, a record cache and a changelog as they are by default. The store keeps 16 bytes a subscriber
 * (two big-endian longs), so no engine pays for a clumsier state than another. The last event makes the program close
 * the topology, which commits; the clock stops when the broker tells that every offset is committed.
 *
 * <p>A JVM is slow until it has compiled what runs most. A rehearsal does the whole job once before, in this same JVM
 * and for another application, and is not measured.
 */
public final class BareJob {
    private static final String STORE = "counts";

    private final Arguments given;
    private final Meter meter;
    private final CountDownLatch processed = new CountDownLatch(1);

    private BareJob(Arguments given) {
        this.given = given;
        this.meter = new Meter(given.events(), given.warm());
    }

    public static void main(String[] words) throws Exception {
        Arguments given = Arguments.parse(words);
        for (int pass = 1; pass <= given.rehearsals(); pass++) {
            new BareJob(given.rehearsing(pass)).run();
        }
        BareJob job = new BareJob(given);
        job.run();
        System.out.println(job.result());
        System.exit(0);
    }

    private void run() throws Exception {
        KafkaStreams streams = new KafkaStreams(topology(), settings());
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            Runtime.getRuntime().halt(1);
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Thread closing = new Thread(streams::close);
        try (Commits commits = new Commits(given)) {
            streams.start();
            processed.await();
            closing.start();
            commits.awaitAll();
            meter.stop();
        }
        closing.join();
        streams.cleanUp();
    }

    private String result() throws IOException {
        Map<String, Object> settings = new LinkedHashMap<>();
        settings.put("store", given.store());
        settings.put("guarantee", given.guarantee());
        settings.put("threads", 1);
        settings.put("heap_max_bytes", Runtime.getRuntime().maxMemory());
        settings.put("rehearsals", given.rehearsals());
        settings.put("java", System.getProperty("java.version"));
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("engine", "kafka-streams");
        line.put("version", AppInfoParser.getVersion());
        line.putAll(meter.figures());
        line.put("changelog", given.application() + "-" + STORE + "-changelog");
        line.put("state", "pair");
        line.put("settings", settings);
        return new ObjectMapper().writeValueAsString(line);
    }

    private Topology topology() {
        boolean inMemory = given.store().equals("memory");
        KeyValueBytesStoreSupplier store =
                inMemory ? Stores.inMemoryKeyValueStore(STORE) : Stores.persistentKeyValueStore(STORE);
        Topology topology = new Topology();
        topology.addSource("events", Serdes.Bytes().deserializer(), Serdes.ByteArray().deserializer(), given.topic());
        topology.addProcessor("count", () -> new Count(meter, processed), "events");
        topology.addStateStore(
                Stores.keyValueStoreBuilder(store, Serdes.Bytes(), Serdes.ByteArray()).withCachingEnabled(), "count");
        return topology;
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given.brokers());
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, given.application());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, given.folder());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, (int) (given.commit() * 1000));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, given.guarantee());
        settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        return settings;
    }

    /** Counts one partition's subscribers; all partitions share the one thread, and so the meter needs no lock. */
    private static final class Count implements Processor<Bytes, byte[], Void, Void> {
        private final ObjectMapper json = new ObjectMapper();
        private final Meter meter;
        private final CountDownLatch processed;
        private ProcessorContext<Void, Void> context;
        private KeyValueStore<Bytes, byte[]> store;

        private Count(Meter meter, CountDownLatch processed) {
            this.meter = meter;
            this.processed = processed;
        }

        @Override
        public void init(ProcessorContext<Void, Void> context) {
            this.context = context;
            this.store = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<Bytes, byte[]> record) {
            parse(record.value());
            long offset = context.recordMetadata().orElseThrow().offset();
            byte[] state = store.get(record.key());
            long count = state == null ? 0 : ByteBuffer.wrap(state).getLong();
            store.put(record.key(), ByteBuffer.allocate(16).putLong(count + 1).putLong(offset).array());
            if (meter.saw()) {
                processed.countDown();
            }
        }

        /** The whole document becomes a tree, as it becomes a dict in the Python engines. */
        private void parse(byte[] value) {
            try {
                JsonNode event = json.readTree(value);
                if (!event.isObject()) {
                    throw new IllegalStateException("an event is no JSON object");
                }
            } catch (IOException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
