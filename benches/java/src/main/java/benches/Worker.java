package benches;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.util.Map;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Redisson's {@code RLock}: {@code Worker CONTESTANT URL OPTIONS} obeys one request a line on its standard input, answers in
 * lines of JSON, and ends with its input. The Rust worker's {@code protocol.rs} says what each request is.
 *
 * <p>{@code redisson} is as it comes: on servers with replicas an acquire waits for them. {@code redisson-unconfirmed} does not.
 */
final class Worker {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final OperatingSystemMXBean PROCESS =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    private final RedissonClient client;

    private Worker(RedissonClient client) {
        this.client = client;
    }

    public static void main(String[] arguments) throws Exception {
        Config config = new Config();
        config.setCheckLockSyncedSlaves(arguments[0].equals("redisson"));
        configure(config, arguments[1]);
        Worker worker = new Worker(Redisson.create(config));
        answer(Map.of("ready", true));
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answer(worker.obey(JSON.readTree(line)));
        }
        // Its own threads would take seconds to end.
        Runtime.getRuntime().halt(0);
    }

    /** {@code redis://HOST:PORT} or {@code redis+cluster://HOST:PORT,…}. */
    private static void configure(Config config, String url) {
        String[] parts = url.split("://", 2);
        if (!parts[0].equals("redis+cluster")) {
            config.useSingleServer().setAddress(url);
            return;
        }
        for (String address : parts[1].split(",")) {
            config.useClusterServers().addNodeAddress("redis://" + address);
        }
    }

    private Map<String, Object> obey(JsonNode request) throws Exception {
        return switch (request.get("do").asText()) {
            case "pairs" -> pairs(request.get("seconds").asDouble(), request.path("each").asInt(1));
            case "hold" -> hold(client.getLock(request.get("name").asText()), request.get("ms").asLong());
            case "wait" -> waited(client.getLock(request.get("name").asText()));
            default -> throw new IllegalArgumentException(request.toString());
        };
    }

    private Map<String, Object> pairs(double seconds, int each) {
        RLock[] locks = new RLock[each];
        for (int at = 0; at < each; at++) {
            locks[at] = client.getLock("bench-%02d".formatted(at));
        }
        long cpu = PROCESS.getProcessCpuTime();
        long started = System.nanoTime();
        long end = started + (long) (seconds * 1e9);
        int ops = 0;
        while (System.nanoTime() < end) {
            RLock lock = locks[ops % each];
            lock.lock();
            lock.unlock();
            ops++;
        }
        double took = (System.nanoTime() - started) / 1e9;
        return Map.of("ops", ops, "seconds", took, "cpu", (PROCESS.getProcessCpuTime() - cpu) / 1e9);
    }

    // On Linux, System.nanoTime is CLOCK_MONOTONIC, which all processes share.

    private static Map<String, Object> hold(RLock lock, long ms) throws Exception {
        lock.lock();
        answer(Map.of("held", true));
        Thread.sleep(ms);
        long released = System.nanoTime();
        lock.unlock();
        return Map.of("released", released);
    }

    private static Map<String, Object> waited(RLock lock) {
        lock.lock();
        long acquired = System.nanoTime();
        lock.unlock();
        return Map.of("acquired", acquired);
    }

    private static void answer(Map<String, Object> value) throws Exception {
        System.out.println(JSON.writeValueAsString(value));
    }
}
