package benches;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RPermitExpirableSemaphore;
import org.redisson.api.RReadWriteLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Redisson's {@code RLock}: {@code Worker CONTESTANT URL OPTIONS} obeys one request a line on its standard input, answers in
 * lines of JSON, and ends with its input. The Rust worker's {@code protocol.rs} says what each request is.
 *
 * <p>{@code redisson} is as it comes: on servers with replicas an acquire waits for them. {@code redisson-unconfirmed} does not.
 * {@code redisson-readers} takes read locks, but every so manyth a write lock where OPTIONS say {@code writers}; {@code
 * redisson-permits} takes one of the {@code permits} of a semaphore.
 */
final class Worker {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final OperatingSystemMXBean PROCESS =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    /** As other workers' TTL. */
    private static final long TTL_MS = 30_000;

    private final RedissonClient client;
    private final String contestant;
    private final JsonNode options;
    private final AtomicLong taken = new AtomicLong();

    private Worker(RedissonClient client, String contestant, JsonNode options) {
        this.client = client;
        this.contestant = contestant;
        this.options = options;
    }

    public static void main(String[] arguments) throws Exception {
        Config config = new Config();
        config.setCheckLockSyncedSlaves(!arguments[0].equals("redisson-unconfirmed"));
        configure(config, arguments[1]);
        Worker worker = new Worker(Redisson.create(config), arguments[0], JSON.readTree(arguments[2]));
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
            case "contend" -> contend(
                    request.get("name").asText(),
                    request.get("waiters").asInt(),
                    request.get("turns").asInt(),
                    request.get("at").asLong(),
                    request.path("ms").asLong(0));
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

    /** What gives back what was taken. */
    private interface Held {
        void release();
    }

    private Held take(String name) throws InterruptedException {
        if (contestant.equals("redisson-permits")) {
            RPermitExpirableSemaphore semaphore = client.getPermitExpirableSemaphore(name);
            semaphore.trySetPermits(options.get("permits").asInt());
            String permit = semaphore.acquire(TTL_MS, TimeUnit.MILLISECONDS);
            return () -> semaphore.release(permit);
        }
        RReadWriteLock both = client.getReadWriteLock(name);
        int writers = options.path("writers").asInt(0);
        boolean writes = writers > 0 && taken.incrementAndGet() % writers == 0;
        RLock lock = writes ? both.writeLock() : both.readLock();
        lock.lock();
        return lock::unlock;
    }

    private Map<String, Object> contend(String name, int waiters, int turns, long at, long ms) throws Exception {
        List<Map<String, Object>> all = Collections.synchronizedList(new ArrayList<>());
        List<Thread> threads = new ArrayList<>();
        for (int waiter = 0; waiter < waiters; waiter++) {
            int number = waiter;
            threads.add(new Thread(() -> {
                try {
                    Thread.sleep(Math.max(0, at - System.nanoTime()) / 1_000_000);
                    for (int turn = 0; turn < turns; turn++) {
                        Held held = take(name);
                        long acquired = System.nanoTime();
                        if (ms > 0) {
                            Thread.sleep(ms);
                        }
                        held.release();
                        all.add(Map.of("waiter", number, "at", acquired, "released", System.nanoTime()));
                    }
                } catch (InterruptedException error) {
                    throw new IllegalStateException(error);
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        return Map.of("turns", all);
    }

    private static void answer(Map<String, Object> value) throws Exception {
        System.out.println(JSON.writeValueAsString(value));
    }
}
