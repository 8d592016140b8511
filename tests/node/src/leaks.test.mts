// Nothing leaks: no descriptor, no thread, no listener, no memory that grows with use.

import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { Client } from "leaselock";
import { test } from "./support/bench.mjs";
import { eventually } from "./support/servers.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

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
