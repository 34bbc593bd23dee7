package forewarn.peers;

import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Asks the broker, as an outsider, how far the application has committed; made before the job, so that it is warm. */
final class Commits implements AutoCloseable {
    private static final long POLL_MS = 10;

    private final Admin admin;
    private final String group;
    private final Map<TopicPartition, Long> ends;

    Commits(Arguments given) throws Exception {
        this.admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, given.brokers()));
        this.group = given.application();
        Map<TopicPartition, OffsetSpec> latest = IntStream.range(0, given.partitions())
                .mapToObj(n -> new TopicPartition(given.topic(), n))
                .collect(Collectors.toMap(partition -> partition, partition -> OffsetSpec.latest()));
        this.ends = admin.listOffsets(latest).all().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, end -> end.getValue().offset()));
    }

    /** Returns when every partition is committed to its end. */
    void awaitAll() throws Exception {
        while (!all(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get())) {
            Thread.sleep(POLL_MS);
        }
    }

    private boolean all(Map<TopicPartition, OffsetAndMetadata> committed) {
        return ends.entrySet().stream().allMatch(end -> {
            OffsetAndMetadata at = committed.get(end.getKey());
            return end.getValue() == 0 || (at != null && at.offset() >= end.getValue());
        });
    }

    @Override
    public void close() {
        admin.close();
    }
}
