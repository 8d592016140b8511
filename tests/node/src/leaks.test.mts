// Nothing leaks: no descriptor, no thread, no listener, no memory that grows with use.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { Client } from "leaselock";
import { test } from "./support/bench.mjs";
import { eventually, servers } from "./support/servers.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

/** What a process has. */
type Told = Record<"descriptors" | "threads" | "listeners" | "KiB" | "heapKiB", number>;

const linux = existsSync("/proc/self/fd");
const descriptors = () => readdirSync("/proc/self/fd").length;
const threads = () => readdirSync("/proc/self/task").length;

test("clients that were closed leave no descriptor and no thread", async (bench) => {
  if (!linux) {
    bench.test.skip("counts in /proc");
    return;
  }
  const use = async () => {
    const client = new Client(bench.server.url, { appId: bench.app });
    const lease = await client.acquire(bench.name);
    await assert.rejects(client.acquire(bench.name, { wait: 5 }));
    await lease.release();
    await client.close();
  };
  await use();
  const before = { descriptors: descriptors(), threads: threads() };
  for (let i = 0; i < 50; i += 1) {
    await use();
  }
  await eventually("the last sockets are closed", () => descriptors() <= before.descriptors);
  // A thread that connected in the background ends a second after it has nothing more to do.
  await eventually("the last threads have ended", () => threads() <= before.threads);
});

test("use leaves no memory behind", async (bench) => {
  const script = new Script(
    `${PRELUDE}
    const settle = async () => { for (let i = 0; i < 5; i++) { globalThis.gc(); await sleep(20); } };
    const { signal } = new AbortController();
    const use = async (rounds) => {
      for (let i = 0; i < rounds; i++) {
        await client.using(name, { signal }, async (lease) => {
          lease.signal;
          await client.tryAcquire(name, { signal });
          if (i % 50 === 0) await client.acquire(name, { wait: 1, signal }).catch(() => {});
        });
      }
      await settle();
      return process.memoryUsage().heapUsed;
    };
    await use(2_000);
    // A collection leaves a little more or less: what is lost for good is lost every time.
    let before = await use(2_000);
    let least = Infinity;
    for (let i = 0; i < 6; i++) {
      const after = await use(2_000);
      least = Math.min(least, (after - before) / 2_000);
      before = after;
    }
    console.log(Math.round(least));
    await client.close();
    `,
    [bench.server.url, bench.app, bench.name],
    ["--expose-gc"],
  );
  const { stdout, stderr, code } = await script.ended();
  assert.deepEqual([code, stderr], [0, ""]);
  assert.ok(Number(stdout) < 50, `${stdout} bytes stay behind for each use`);
});

// What it leaves is counted in a process of its own, in which nothing else has happened. `FULL=1` makes 100,000 cycles.
test("many cycles leave no descriptor, thread, listener or key, and no memory", async (bench) => {
  if (!linux) {
    bench.test.skip("counts in /proc");
    return;
  }
  if (bench.server !== servers[0]) {
    bench.test.skip("what is counted is here, whatever the server is");
    return;
  }
  const cycles = process.env["FULL"] ? 100_000 : 20_000;
  const script = new Script(
    `${PRELUDE}
    import { readdirSync, readFileSync } from "node:fs";
    const measure = async (before) => {
      for (let i = 0; i < 5; i++) { globalThis.gc(); await sleep(20); }
      // Connections that took the place of others end in the background.
      for (let i = 0; i < 60 && before && readdirSync("/proc/self/fd").length > before.descriptors; i++) await sleep(50);
      return {
        descriptors: readdirSync("/proc/self/fd").length,
        threads: readdirSync("/proc/self/task").length,
        listeners: process.eventNames().reduce((sum, event) => sum + process.listenerCount(event), 0),
        KiB: Number(readFileSync("/proc/self/statm", "utf8").split(" ")[1]) * 4,
        heapKiB: Math.round(process.memoryUsage().heapUsed / 1024),
      };
    };
    const { signal } = new AbortController();
    // Fewer names than those who want them, so that some wait.
    const CROWD = 64, NAMES = 51, ROUNDS = 4;
    const run = async (end) => {
      let next = 0;
      const work = async () => {
        while (next < end) {
          const n = next++;
          const [one, two] = [n, n * 7 + 3].map((number) => name + (number % NAMES));
          if (n % 10 === 0 && one !== two) await client.usingAll([one, two], async () => {});
          else await client.using(one, { signal, shared: n % 10 === 1 }, async () => {});
        }
      };
      await Promise.all(Array.from({ length: CROWD }, work));
    };
    const told = [];
    for (let i = 0; i <= ROUNDS; i++) {
      await run(i ? ${cycles} / ROUNDS : 10_000);
      told.push(await measure(told[0]));
    }
    console.log(JSON.stringify(told));
    await client.close();
    `,
    [bench.server.url, bench.app, bench.name],
    ["--expose-gc", "--max-semi-space-size=1"],
  );
  const { stdout, stderr, code } = await script.ended(300_000);
  assert.deepEqual([code, stderr], [0, ""]);
  bench.test.diagnostic(stdout);
  const told: Told[] = JSON.parse(stdout);
  const more = (what: keyof Told) => told.slice(1).map((round, i) => round[what] - (told[i] as Told)[what]);
  for (const what of ["descriptors", "threads", "listeners"] as const) {
    assert.ok((told.at(-1) as Told)[what] <= (told[0] as Told)[what], `more ${what} than before: ${stdout}`);
  }
  // A collection leaves a little more or less, and pages come late: what is lost for good is lost in every round.
  for (const what of ["KiB", "heapKiB"] as const) {
    assert.ok(Math.min(...more(what)) * (told.length - 1) < 2048, `${what} grows with use: ${stdout}`);
  }
  const keys = (await bench.redis.keys("*")).filter((key) => key.includes(bench.app));
  assert.deepEqual(keys, [`lock||${bench.app}||||fence`]);
}, 300_000);
