// A blocked event loop: the lease is renewed by another thread, and what happened meanwhile is delivered afterwards.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "./support/bench.mjs";
import { block } from "./support/moments.mjs";

test("field bug 7: an event loop blocked for three times the TTL keeps the lease", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 500 });
  const { signal } = lease;
  block(1_500);
  assert.equal(lease.held, true);
  assert.equal(lease.state, "held");
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  await sleep(20);
  assert.equal(signal.aborted, false);
  assert.ok(client.stats().renewals >= 6);
  assert.equal(await lease.release(), true);
});

test("max_hold bounds how long a blocked event loop can keep it", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 300, maxHold: 700 });
  const { signal } = lease;
  block(900);
  assert.equal(lease.held, false);
  assert.throws(() => lease.check(), { name: "LeaseLostError", reason: "max_hold" });
  await sleep(50);
  assert.equal(signal.aborted, true);
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("a loss while the event loop is blocked is seen at the first look, and signalled at the first turn", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 300, renew: false });
  const { signal } = lease;
  let aborted = false;
  signal.addEventListener("abort", () => {
    aborted = true;
  });
  block(400);
  assert.equal(lease.held, false);
  assert.equal(aborted, false);
  await sleep(10);
  assert.equal(aborted, true);
});

test("answers that came while the event loop was blocked are delivered together", async (bench) => {
  const client = bench.client();
  await client.inspect(bench.name);
  const turns: number[] = [];
  let turn = 0;
  const counting = setInterval(() => {
    turn += 1;
  }, 0);
  const all = Array.from({ length: 100 }, async () => {
    await client.inspect(bench.name);
    turns.push(turn);
  });
  block(300);
  await Promise.all(all);
  clearInterval(counting);
  assert.equal(new Set(turns).size, 1, "one wake of the loop delivered all");
});

test("callbacks keep their async context", async (bench) => {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<number>();
  const client = bench.client();
  await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      storage.run(i, () =>
        client.using(bench.name, { ttl: 5_000 }, async () => {
          assert.equal(storage.getStore(), i);
        }),
      ),
    ),
  );
});
