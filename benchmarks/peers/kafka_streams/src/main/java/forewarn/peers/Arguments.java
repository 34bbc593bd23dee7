package forewarn.peers;

import java.util.HashMap;
import java.util.Map;

/** What every peer is told on its command line; `commit` is in seconds, `warm` a share of the events. */
record Arguments(
        String brokers,
        String topic,
        int partitions,
        String application,
        long events,
        double warm,
        double commit,
        String folder,
        String store,
        String guarantee,
        int rehearsals) {

    /** Reads `--name value` pairs; a name that is missing is an error that names it. */
    static Arguments parse(String[] words) {
        Map<String, String> given = new HashMap<>();
        for (int i = 0; i + 1 < words.length; i += 2) {
            given.put(words[i].replaceFirst("^--", ""), words[i + 1]);
        }
        return new Arguments(
                of(given, "brokers"),
                of(given, "topic"),
                Integer.parseInt(of(given, "partitions")),
                of(given, "application"),
                Long.parseLong(of(given, "events")),
                Double.parseDouble(of(given, "warm")),
                Double.parseDouble(of(given, "commit")),
                of(given, "folder"),
                given.getOrDefault("store", "rocksdb"),
                given.getOrDefault("guarantee", "at_least_once"),
                Integer.parseInt(given.getOrDefault("rehearsals", "0")));
    }

    /** The same job for another application, so that it begins with nothing counted and leaves nothing behind. */
    Arguments rehearsing(int pass) {
        String other = application + "-rehearsal-" + pass;
        return new Arguments(
                brokers, topic, partitions, other, events, warm, commit, folder, store, guarantee, rehearsals);
    }

    private static String of(Map<String, String> given, String name) {
        String value = given.get(name);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }
}
