// Client: looking, listing, breaking, counting, closing, and where it finds its server.

import assert from "node:assert/strict";
import { inspect } from "node:util";
import { Client, ClientClosedError, ExtendStatus, ReleaseStatus } from "leaselock";
import { test } from "./support/bench.mjs";

test("inspect and locks give LockInfo; the listing can be left early", async (bench) => {
  const client = bench.client();
  assert.equal(await client.inspect(bench.name), null);
  const leases = await Promise.all(Array.from({ length: 300 }, (_, i) => client.acquire(`job-${i}`, { ttl: 20_000 })));
  const info = await client.inspect("job-7");
  assert.deepEqual(Object.keys(info ?? {}).sort(), [
    "expiresIn",
    "holderCount",
    "holders",
    "mode",
    "name",
    "owner",
    "waiters",
  ]);
  assert.equal(info?.owner, leases[7]?.owner);
  assert.equal(info?.waiters, 0);
  assert.ok(info.expiresIn !== null && info.expiresIn > 15_000 && info.expiresIn <= 20_000);

  const names = new Set<string>();
  for await (const lock of client.locks()) {
    names.add(lock.name);
  }
  assert.equal(names.size, 300);
  const some: string[] = [];
  for await (const lock of client.locks("job-1?")) {
    some.push(lock.name);
  }
  assert.equal(some.length, 10);
  for await (const lock of client.locks("job-*")) {
    assert.ok(names.has(lock.name));
    break;
  }

  await bench.redis.persist(`lock||${bench.app}||job-7`);
  assert.equal((await client.inspect("job-7"))?.expiresIn, null);
  assert.equal(await client.forceRelease("job-7"), ReleaseStatus.RELEASED);
  assert.equal(await client.forceRelease("job-7"), ReleaseStatus.NOT_FOUND);
  assert.equal(await client.release("job-8", "someone"), ReleaseStatus.NOT_OWNER);
  assert.equal(await client.extend("job-8", "someone", 1000), ExtendStatus.NOT_OWNER);
  assert.equal(await client.extend("job-7", "someone", 1000), ExtendStatus.NOT_FOUND);
  await assert.rejects(client.extend("job-8", "someone", 99), /ttl is 99 ms; it must be between 100 ms and 365 days/);
});

test("stats are counters under camel-case names", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name);
  await assert.rejects(client.acquire(bench.name, { wait: 20 }));
  const stats = client.stats();
  assert.deepEqual(Object.keys(stats).sort(), [
    "acquired",
    "cancelled",
    "contended",
    "held",
    "lost",
    "reconnects",
    "released",
    "renewFailures",
    "renewals",
    "timedOut",
    "waiting",
  ]);
  assert.deepEqual([stats.held, stats.acquired, stats.contended, stats.timedOut], [1, 1, 1, 1]);
  await lease.release();
  assert.deepEqual([client.stats().held, client.stats().released], [0, 1]);
});

test("close gives every lease back, ends what waits, and can be called again", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name);
  const waiting = client.acquire(bench.name);
  const closing = client.close();
  await assert.rejects(waiting, ClientClosedError);
  await Promise.all([closing, client.close()]);
  await client.close();
  assert.equal(await bench.redis.exists(bench.key), 0);
  assert.equal(lease.held, false);
  assert.equal(client.stats().held, 0);
  await assert.rejects(
    client.using(bench.name, () => {}),
    ClientClosedError,
  );
  await assert.rejects(client.locks().next(), ClientClosedError);
  assert.match(inspect(client), /^Client \{.*closed: true/s);
});

test("LEASELOCK_URL and LEASELOCK_APP_ID stand in for missing arguments", async (bench) => {
  process.env["LEASELOCK_URL"] = bench.server.url;
  process.env["LEASELOCK_APP_ID"] = bench.app;
  bench.test.after(() => {
    delete process.env["LEASELOCK_URL"];
    delete process.env["LEASELOCK_APP_ID"];
  });
  await using client = new Client();
  await using _lease = await client.acquire(bench.name);
  assert.equal(await bench.redis.exists(bench.key), 1);
  assert.equal(inspect(client), `Client { appId: '${bench.app}', closed: false }`);
  await using other = new Client(undefined, { appId: "" });
  assert.equal(await other.inspect(bench.name), null);
});

test("many operations at once each get their own answer", async (bench) => {
  const client = bench.client();
  const turns = Array.from({ length: 500 }, async (_, i) => {
    const lease = await client.acquire(`${bench.name}-${i}`, { label: `label-${i}` });
    assert.equal(lease.name, `${bench.name}-${i}`);
    assert.ok(lease.owner.startsWith(`label-${i}:`));
    assert.equal((await client.inspect(lease.name))?.owner, lease.owner);
    assert.equal(await lease.release(), true);
    return lease.token;
  });
  const tokens = await Promise.all(turns);
  assert.equal(new Set(tokens).size, 500);
});
