// Losses that the server tells of: what ends a lease elsewhere shows when it happens, not at the next renewal.

import assert from "node:assert/strict";
import type { Client, Lease, LeaseLostError } from "leaselock";
import { type Bench, test, unique } from "./support/bench.mjs";
import { eventually, OwnServer, plainRedis } from "./support/servers.mjs";

/** Renewed each second: what shows much sooner was told. */
const TTL = 3_000;
const TOLD = 500;
/** What is promised of the middle one. */
const MIDDLE = 50;
const LEASES = 5;

/** Leases that were renewed just now, for the first time. */
async function renewed(client: Client, count: number): Promise<Lease[]> {
  const leases = await Promise.all(Array.from({ length: count }, () => client.acquire(unique(), { ttl: TTL })));
  const before = client.stats().renewals;
  await eventually("all are renewed", () => client.stats().renewals >= before + count);
  return leases;
}

/** How many milliseconds after `start` the signal comes, and why. */
async function lost(lease: Lease, start: number): Promise<{ took: number; reason: string }> {
  const { signal } = lease;
  const told = new Promise<number>((resolve) => {
    const tell = () => resolve(performance.now() - start);
    signal.aborted ? tell() : signal.addEventListener("abort", tell, { once: true });
  });
  await eventually("told", () => signal.aborted, TOLD);
  return { took: await told, reason: (signal.reason as LeaseLostError).reason };
}

function middle(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
}

async function serverOf(bench: Bench): Promise<OwnServer> {
  const server = await OwnServer.start(bench.server.binary, "--enable-debug-command", "yes");
  bench.test.after(() => server.stop());
  return server;
}

test("field bug 57: what ends a lease elsewhere shows when it happens", async (bench) => {
  const server = await serverOf(bench);
  const plain = plainRedis(server.url);
  bench.test.after(() => plain.disconnect());
  const [client, other] = [bench.client({}, server.url), bench.client({}, server.url)];
  const key = (lease: Lease) => `lock||${bench.app}||${lease.name}`;
  const ways: Record<string, [(lease: Lease) => Promise<unknown>, string]> = {
    "released by hand": [(lease) => other.release(lease.name, lease.owner), "released"],
    broken: [(lease) => other.forceRelease(lease.name), "released"],
    deleted: [(lease) => plain.del(key(lease)), "released"],
    // In a transaction nobody renews it in between.
    expired: [(lease) => plain.multi().pexpire(key(lease), 1).call("DEBUG", "SLEEP", "0.005").exec(), "released"],
    taken: [(lease) => plain.set(key(lease), "someone"), "taken"],
  };
  const leases = await renewed(client, LEASES * Object.keys(ways).length);
  for (const [way, [end, why]] of Object.entries(ways)) {
    const times: number[] = [];
    for (const lease of leases.splice(0, LEASES)) {
      const start = performance.now();
      await end(lease);
      const { took, reason } = await lost(lease, start);
      assert.equal(reason, why, way);
      times.push(took);
    }
    assert.ok(middle(times) < MIDDLE, `${way}: ${times}`);
  }
});

test("field bug 57: a flush and an eviction show when they happen", async (bench) => {
  const server = await serverOf(bench);
  const plain = plainRedis(server.url);
  bench.test.after(() => plain.disconnect());
  const client = bench.client({}, server.url);
  const ways: Record<string, () => Promise<unknown>> = {
    FLUSHALL: () => plain.flushall(),
    FLUSHDB: () => plain.flushdb(),
    evicted: async () => {
      await plain.config("SET", "maxmemory-policy", "allkeys-lru");
      // Less than what an empty server needs.
      await plain.config("SET", "maxmemory", "100kb");
    },
  };
  for (const [way, end] of Object.entries(ways)) {
    const leases = await renewed(client, LEASES);
    const start = performance.now();
    await end();
    const losses = await Promise.all(leases.map((lease) => lost(lease, start)));
    assert.deepEqual([...new Set(losses.map((it) => it.reason))], ["released"], way);
    assert.ok(middle(losses.map((it) => it.took)) < MIDDLE, `${way}: ${losses.map((it) => it.took)}`);
  }
});
