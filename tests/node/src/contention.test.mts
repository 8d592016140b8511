// Many contended acquires at once, ended at random moments: nobody hangs, everybody else has their turn, nothing is left.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, test } from "./support/bench.mjs";
import { lined } from "./support/lined.mjs";
import { pause } from "./support/moments.mjs";
import { eventually } from "./support/servers.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

/** For how long each test goes on. */
const LASTS = 3_000;
/** Far above what a turn takes; far below the TTL, which a turn that was lost would cost. */
const TURN = 10_000;

async function nothingIsLeft(bench: Bench): Promise<void> {
  await eventually(
    "nothing is left",
    async () => (await bench.redis.keys(`*${bench.app}||${bench.name}*`)).length === 0,
    10_000,
  );
}

test("field bug 20: two processes whose acquires are aborted at random moments", async (bench) => {
  const source = `${PRELUDE}
    const counts = { acquired: 0, aborted: 0, patient: 0 };
    const end = performance.now() + ${LASTS};
    async function hasty() {
      const signal = AbortSignal.timeout(Math.trunc(Math.random() * 40));
      // Some are aborted within a turn of the loop, where no timer gets.
      const controller = new AbortController();
      if (Math.random() < 0.2) setImmediate(() => setImmediate(() => controller.abort()));
      try {
        const lease = await client.acquire(name, { signal: AbortSignal.any([signal, controller.signal]) });
        counts.acquired += 1;
        if (Math.random() < 0.5) await sleep(Math.random() * 2);
        if (!(await lease.release())) throw new Error("it was not mine any more");
      } catch (error) {
        if (error !== signal.reason && error !== controller.signal.reason) throw error;
        counts.aborted += 1;
      }
    }
    async function patient() {
      const lease = await client.acquire(name, { wait: ${TURN} });
      counts.patient += 1;
      if (!(await lease.release())) throw new Error("it was not mine any more");
    }
    const forAWhile = async (what) => { while (performance.now() < end) await what(); };
    for (let i = 0; i < 10; i += 1) await (await client.acquire(name)).release();
    await Promise.all([...Array(12).fill(hasty), ...Array(2).fill(patient)].map(forAWhile));
    // The answers to the last aborts are no longer waited for; nor is the client closed.
    console.log(JSON.stringify(counts));
  `;
  const scripts = [1, 2].map(() => new Script(source, [bench.server.url, bench.app, bench.name]));
  for (const { code, stdout, stderr } of await Promise.all(scripts.map((script) => script.ended(LASTS + 3 * TURN)))) {
    assert.deepEqual([code, stderr], [0, ""]);
    const { acquired, aborted, patient } = JSON.parse(stdout) as Record<string, number>;
    bench.test.diagnostic(stdout);
    assert.ok(acquired && aborted && patient, stdout);
  }
  await nothingIsLeft(bench);
});

test("clients that close in the instant of a grant: every acquire ends, and the next one has its turn", async (bench) => {
  const other = bench.client();
  const end = performance.now() + LASTS;
  let [got, sentHome] = [0, 0];
  for (let round = 0; performance.now() < end; round += 1) {
    const { client, relay } = await lined(bench);
    const name = `${bench.name}-${round}`;
    const holder = await other.acquire(name);
    const waiting = [1, 2, 3].map(() => client.acquire(name));
    await eventually("all wait", async () => (await other.inspect(name))?.waiters === 3);
    const released = holder.release();
    await pause(Math.random() * 3);
    const closing = client.close();
    const ends = Promise.allSettled(waiting);
    const all = await Promise.race([ends, sleep(TURN, undefined, { ref: false })]);
    assert.ok(all, `round ${round}: an acquire of a closed client never ends`);
    for (const outcome of all) {
      if (outcome.status === "fulfilled") {
        got += 1;
      } else {
        assert.equal(outcome.reason.code, "CLIENT_CLOSED");
        sentHome += 1;
      }
    }
    await closing;
    assert.equal(await released, true);
    await (await other.acquire(name, { wait: TURN })).release();
    await relay.stop();
  }
  bench.test.diagnostic(`${got} had their turn, ${sentHome} were sent home`);
  assert.ok(sentHome > 0);
  await nothingIsLeft(bench);
});
