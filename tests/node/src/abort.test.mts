// The signal option: it aborts the acquire, and only that, and leaves nothing behind.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";
import { type Bench, test } from "./support/bench.mjs";
import { abortedAt, block } from "./support/moments.mjs";
import { CountingListener } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";

it("a signal that is aborted already rejects with its reason before anything is sent", async (t) => {
  const listener = await CountingListener.start();
  t.after(() => listener.stop());
  const client = new Client(listener.url);
  const reason = { any: "thing" };
  const signal = AbortSignal.abort(reason);
  await assert.rejects(client.acquire("name", { signal }), (error) => error === reason);
  await assert.rejects(client.tryAcquire("name", { signal }), (error) => error === reason);
  await assert.rejects(
    client.using("name", { signal }, () => {}),
    (error) => error === reason,
  );
  await assert.rejects(client.acquire("name", { signal: AbortSignal.abort() }), { name: "AbortError" });
  await sleep(50);
  assert.equal(listener.connections, 0);
  await client.close();
});

it("an abort ends an acquire that no server answers", async (t) => {
  const listener = await CountingListener.start();
  t.after(() => listener.stop());
  const client = new Client(listener.url, { commandTimeout: 500 });
  const start = performance.now();
  const signal = AbortSignal.timeout(50);
  await assert.rejects(client.acquire("name", { signal }), { name: "TimeoutError" });
  assert.ok(performance.now() - start < 400);
  assert.deepEqual(getEventListeners(signal, "abort"), []);
  await client.close().catch(() => {});
});

test("an aborted wait rejects with the signal's reason and leaves no place in the queue", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name);
  const controller = new AbortController();
  const reason = new Error("not any more");
  const waiting = client.acquire(bench.name, { signal: controller.signal });
  await waitersAre(bench, client, 1);
  assert.equal(getEventListeners(controller.signal, "abort").length, 1);
  controller.abort(reason);
  await assert.rejects(waiting, (error) => error === reason);
  assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
  await waitersAre(bench, client, 0);
  assert.equal(client.stats().cancelled, 1);
  await lease.release();
  await sleep(100);
  assert.deepEqual(await bench.redis.keys(`*${bench.app}||${bench.name}*`), []);
});

test("the listener is removed however the acquire ends", async (bench) => {
  const client = bench.client();
  const { signal } = new AbortController();
  const lease = await client.acquire(bench.name, { signal });
  assert.deepEqual(getEventListeners(signal, "abort"), []);
  await assert.rejects(client.acquire(bench.name, { signal, wait: 50 }));
  assert.equal(await client.tryAcquire(bench.name, { signal }), null);
  await assert.rejects(client.acquire(bench.name, { signal, ttl: 1 }));
  await lease.release();
  await client.using(bench.name, { signal }, () => {
    assert.deepEqual(getEventListeners(signal, "abort"), []);
  });
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("one signal may guard many acquires at once, without a warning", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name);
  const controller = new AbortController();
  const warnings: Error[] = [];
  const listener = (warning: Error) => warnings.push(warning);
  process.on("warning", listener);
  bench.test.after(() => process.off("warning", listener));
  const waiting = Array.from({ length: 50 }, () => client.acquire(bench.name, { signal: controller.signal }));
  await waitersAre(bench, client, 50);
  controller.abort();
  const ends = await Promise.allSettled(waiting);
  assert.ok(ends.every(({ status }) => status === "rejected"));
  await waitersAre(bench, client, 0);
  assert.deepEqual(getEventListeners(controller.signal, "abort"), []);
  assert.deepEqual(warnings, []);
  await lease.release();
});

test("an abort after the acquire changes nothing", async (bench) => {
  const controller = new AbortController();
  const lease = await bench.client().acquire(bench.name, { ttl: 300, signal: controller.signal });
  controller.abort();
  await sleep(500);
  assert.equal(lease.held, true, "it is still renewed");
  assert.equal(lease.signal.aborted, false);
});

test("field bug 20: an acquire aborted at any moment leaves neither a lock nor a place in the queue", async (bench) => {
  const client = bench.client();
  const moments = [0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 3, 5];
  for (const contended of [false, true]) {
    for (const moment of [...moments, ...moments, ...moments]) {
      const name = `${bench.name}-${contended}-${moment}`;
      const holder = contended ? await client.acquire(name, { ttl: 10_000 }) : undefined;
      let freed: Promise<boolean> | undefined;
      const passes = async () => {
        freed = moment > 1 ? holder?.release() : undefined;
        block(moment);
        if (moment >= 0.3) {
          await sleep(moment);
        }
      };
      await abortedAt(passes, (signal) => client.acquire(name, { ttl: 10_000, signal }));
      await freed;
      await holder?.release();
      const next = await client.acquire(name, { ttl: 10_000, wait: 4_000 });
      await next.release();
    }
  }
  await eventually("nothing is left", async () => {
    const keys = await bench.redis.keys(`*${bench.app}||${bench.name}*`);
    return keys.length === 0;
  });
  assert.equal(client.stats().held, 0);
  assert.equal(client.stats().waiting, 0);
});

async function waitersAre(bench: Bench, client: Client, count: number): Promise<void> {
  await eventually(`${count} waiters`, async () => (await client.inspect(bench.name))?.waiters === count);
}
