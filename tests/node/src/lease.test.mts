// Lease: its properties, its signal, extend, release and detach.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { Lease, LeaseLostError } from "leaselock";
import { test } from "./support/bench.mjs";
import { eventually, OwnServer } from "./support/servers.mjs";

test("a lease says what it is", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 4_000.9, label: "worker-7" });
  assert.ok(lease instanceof Lease);
  assert.equal(lease.name, bench.name);
  assert.match(lease.owner, /^worker-7:/);
  assert.ok(Number.isSafeInteger(lease.token));
  assert.equal(lease.ttl, 4_000);
  assert.ok(lease.expiresIn > 3_000 && lease.expiresIn <= 4_000);
  assert.ok(Number.isInteger(lease.expiresIn));
  assert.equal(lease.state, "held");
  assert.equal(lease.held, true);
  assert.equal(lease.check(), undefined);
  assert.match(inspect(lease), /^Lease \{/);
  assert.match(inspect(lease), /state: 'held'/);
});

test("a release takes effect at the call, before anything is answered", async (bench) => {
  const lease = await bench.client().acquire(bench.name);
  const promise = lease.release();
  assert.equal(lease.state, "released");
  assert.equal(lease.held, false);
  assert.equal(lease.expiresIn, 0);
  assert.throws(() => lease.check(), LeaseLostError);
  assert.equal(await promise, true);
  assert.equal(await lease.release(), true);
});

test("the signal is never aborted by a release, whoever asks for it when", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 200 });
  const { signal } = lease;
  assert.equal(lease.signal, signal);
  await lease.release();
  const late = await client.acquire(bench.name, { ttl: 200 });
  await late.release();
  await sleep(400);
  assert.equal(signal.aborted, false);
  assert.equal(late.signal.aborted, false);
});

test("the signal is aborted with the LeaseLostError, once, also when it is asked for afterwards", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 300 });
  let calls = 0;
  lease.signal.addEventListener("abort", () => {
    calls += 1;
  });
  const other = await client.acquire(`${bench.name}-other`, { ttl: 300 });
  await client.forceRelease(bench.name);
  await client.forceRelease(other.name);
  await eventually("the signal is aborted", () => lease.signal.aborted);
  const { reason } = lease.signal;
  assert.ok(reason instanceof LeaseLostError);
  assert.equal(reason.reason, "released");
  assert.equal(reason.code, "LEASE_LOST");
  assert.equal(lease.state, "lost");
  assert.equal(calls, 1);
  assert.throws(() => lease.signal.throwIfAborted(), LeaseLostError);

  await eventually("the other is lost", () => other.state === "lost");
  assert.ok(other.signal.aborted, "a signal that is first asked for after the loss is aborted already");
  assert.equal(await lease.release(), false);
});

test("what is held under the signal is stopped by the loss", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 300 });
  const work = sleep(20_000, undefined, { signal: lease.signal });
  await client.forceRelease(bench.name);
  await assert.rejects(work, (error: Error) => error.cause instanceof LeaseLostError);
  assert.deepEqual(getEventListeners(lease.signal, "abort"), []);
});

test("extend sets exactly that time, here and in the store", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 10_000 });
  await lease.extend(60_000);
  assert.equal(lease.ttl, 60_000);
  assert.ok(lease.expiresIn > 55_000);
  assert.ok((await bench.redis.pttl(bench.key)) > 59_000);
  await lease.extend(1_000);
  assert.ok(lease.expiresIn <= 1_000);
  await lease.extend();
  assert.equal(lease.ttl, 1_000);
  await lease.release();
  await assert.rejects(lease.extend(), LeaseLostError);
});

test("field bug 16: not held after its time, with no network to say so", async (bench) => {
  const server = await OwnServer.start(bench.server.binary);
  bench.test.after(() => server.stop());
  const lease = await bench.client({}, server.url).acquire(bench.name, { ttl: 500 });
  server.pause();
  await sleep(520);
  assert.equal(lease.held, false);
  assert.equal(lease.state, "lost");
  assert.equal(lease.expiresIn, 0);
  assert.throws(() => lease.check(), { name: "LeaseLostError", reason: "expired" });
  await eventually("the signal is aborted", () => lease.signal.aborted, 1_000);
  server.resume();
});

test("field bug 13: releasing a lease that ran out is false and no error", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 150, renew: false });
  await sleep(250);
  assert.equal(await lease.release(), false);
  assert.equal(await lease.release(), false);
});

test("a detached lease is left to its TTL and can be released from elsewhere by its owner", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 5_000 });
  lease.detach();
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  assert.equal(await bench.client().release(bench.name, lease.owner), "RELEASED");
});

it("a Lease cannot be made by hand", () => {
  assert.throws(() => new (Lease as unknown as new (native: unknown) => Lease)({}), TypeError);
});
