// Failures that users of other lock libraries met, where no other file here has them: docs/field-bugs.md lists all.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "./support/bench.mjs";
import { Relay } from "./support/network.mjs";
import { OwnServer } from "./support/servers.mjs";

test("field bug 1: a lease released at once is never renewed", async (bench) => {
  const client = bench.client();
  const leases = await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      const lease = await client.acquire(`${bench.name}-${i}`, { ttl: 900 });
      await lease.release();
      return lease;
    }),
  );
  await sleep(1000);
  assert.equal(client.stats().renewals, 0);
  assert.ok(leases.every((lease) => lease.state === "released"));
});

test("field bug 11: the deadline counts from before the command was sent", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const client = bench.client({}, relay.url);
  await Promise.all([client.inspect(bench.name), bench.redis.ping()]);
  relay.delay = 200;
  const lease = await client.acquire(bench.name, { ttl: 2_000, renew: false });
  assert.ok(lease.expiresIn <= 1_800, `${lease.expiresIn} ms are left`);
  // The holder's reckoning ends before the store's.
  const asked = performance.now();
  const pttl = await bench.redis.pttl(bench.key);
  assert.ok(lease.expiresIn + (performance.now() - asked) <= pttl);
});

test("field bug 12: the shortest TTL is renewed calmly", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 100 });
  await sleep(1_500);
  assert.equal(lease.held, true);
  const { renewals } = client.stats();
  assert.ok(renewals >= 15 && renewals <= 60, `${renewals} renewals in 1.5 s`);
});

test("field bug 15: without a ttl of its own a lock still has one", async (bench) => {
  bench.keep(await bench.client().acquire(bench.name));
  const pttl = await bench.redis.pttl(bench.key);
  assert.ok(pttl > 29_000 && pttl <= 30_000);
});

test("field bug 31: SCRIPT FLUSH is nothing a user sees", async (bench) => {
  const client = bench.client();
  for (let i = 0; i < 20; i += 1) {
    const lease = await client.acquire(bench.name, { ttl: 5_000 });
    const waiting = client.acquire(bench.name, { ttl: 5_000, wait: 5_000 });
    await bench.redis.call("SCRIPT", "FLUSH");
    await lease.extend();
    await bench.redis.call("SCRIPT", "FLUSH");
    assert.equal(await lease.release(), true);
    const next = await waiting;
    await bench.redis.call("SCRIPT", "FLUSH");
    assert.equal(await client.release(bench.name, next.owner), "RELEASED");
  }
});

test("field bug 31: connections that are killed are nothing a user sees, and every promise settles", async (bench) => {
  const server = await OwnServer.start(bench.server.binary);
  bench.test.after(() => server.stop());
  const relay = await Relay.start(server.url);
  bench.test.after(() => relay.stop());
  const client = bench.client({}, relay.url);
  const cutting = setInterval(() => relay.cut(), 50);
  bench.test.after(() => clearInterval(cutting));
  const turns = Array.from({ length: 40 }, async (_, i) => {
    await sleep(i * 20);
    await client.using(`${bench.name}-${i % 4}`, { ttl: 5_000, wait: 20_000 }, () => sleep(5));
  });
  const ends = await Promise.allSettled(turns);
  assert.deepEqual(
    ends.filter(({ status }) => status === "rejected"),
    [],
  );
});

test("field bug 35: a take whose reply was lost is not taken for someone else's", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const client = bench.client({ commandTimeout: 2_000 }, relay.url);
  await client.inspect(bench.name);
  let dropped = 0;
  relay.dropReplies = () => {
    relay.dropReplies = () => false;
    dropped += 1;
    relay.cut();
    return true;
  };
  const lease = await client.acquire(bench.name, { ttl: 5_000, wait: 4_000 });
  assert.equal(dropped, 1);
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  assert.equal(await lease.release(), true);
});
