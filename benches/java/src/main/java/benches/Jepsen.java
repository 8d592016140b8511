package benches;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import org.redisson.Redisson;
import org.redisson.api.RFencedLock;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * A program of a crew of the Jepsen scenario with Redisson: {@code Jepsen LOCK ORDERS}, where LOCK is {@code redisson} for an
 * {@code RLock} or {@code redisson-fenced} for an {@code RFencedLock}. {@code tests/jepsen/README.md} says what it does.
 */
final class Jepsen {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final BufferedReader answers;
    private final OutputStream requests;
    private long element;
    private boolean over;

    private Jepsen(JsonNode orders) throws IOException {
        Socket socket = new Socket("127.0.0.1", orders.get("port").asInt());
        socket.setTcpNoDelay(true);
        answers = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
        requests = socket.getOutputStream();
        element = orders.get("process").asLong() * 1_000_000;
        say("hello " + ProcessHandle.current().pid());
    }

    public static void main(String[] arguments) throws Exception {
        JsonNode orders = JSON.readTree(arguments[1]);
        Config config = new Config();
        config.useSingleServer().setAddress(orders.get("url").asText()).setConnectionMinimumIdleSize(1);
        // The TTL of a lock that is renewed while its holder lives.
        config.setLockWatchdogTimeout(orders.get("ttl").asLong());
        RedissonClient client = Redisson.create(config);
        Jepsen shared = new Jepsen(orders);
        String name = orders.get("name").asText();
        while (!shared.over) {
            if (arguments[0].equals("redisson-fenced")) {
                RFencedLock lock = client.getFencedLock(name);
                shared.add(lock.lockAndGetToken());
                shared.unlock(lock);
            } else {
                RLock lock = client.getLock(name);
                lock.lock();
                shared.add(0);
                shared.unlock(lock);
            }
        }
        // Its own threads would take seconds to end.
        Runtime.getRuntime().halt(0);
    }

    private void unlock(RLock lock) throws IOException {
        try {
            lock.unlock();
        } catch (IllegalMonitorStateException lost) {
            say("failed release");
        }
    }

    /** Adds an element: reads, waits a little, writes. */
    private void add(long token) throws Exception {
        String[] answer = ask("read " + token).split(" ", 3);
        over = answer[0].equals("over");
        if (!answer[0].equals("set")) {
            return;
        }
        ArrayNode elements = (ArrayNode) JSON.readTree(answer[2]);
        Thread.sleep(Long.parseLong(answer[1]));
        element += 1;
        elements.add(element);
        ask("write " + token + " - " + element + " " + elements);
    }

    private void say(String line) throws IOException {
        requests.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        requests.flush();
    }

    private String ask(String line) throws IOException {
        say(line);
        String answer = answers.readLine();
        if (answer == null) {
            throw new IOException("the set has gone");
        }
        return answer;
    }
}
