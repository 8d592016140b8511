// A grant is claimed on the client's line: whatever happens in that instant, nobody loses a turn and nothing is left.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Client, Lease } from "leaselock";
import { type Bench, test } from "./support/bench.mjs";
import { type Lined, lined } from "./support/lined.mjs";
import { block } from "./support/moments.mjs";
import { Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

const entry = createRequire(import.meta.url).resolve("leaselock");

/** Who is held back once the grant is there: the claim does not reach the server, or its answer does not come back. */
const SIDES = ["client", "server"] as const;
type Side = (typeof SIDES)[number];

/** Holds the claim of a grant back: `waiting` was granted the name, and `next` waits behind it elsewhere. */
interface Held extends Lined {
  holder: Lease;
  waiting: Promise<Lease>;
  next: Promise<Lease>;
}

/** Two wait for a held name, which is released; the first one's claim is on its way and held back. */
async function heldBack(
  bench: Bench,
  side: Side,
  options: { commandTimeout?: number; wait?: number; signal?: AbortSignal; ttl?: number } = {},
): Promise<Held> {
  const { commandTimeout, ...acquireOptions } = options;
  const granted = await lined(bench, commandTimeout);
  const other = bench.client();
  const holder = await other.acquire(bench.name);
  const waiting = granted.client.acquire(bench.name, acquireOptions);
  // Whoever looks at it first looks at it later.
  waiting.catch(() => {});
  await waitersAre(other, bench, 1);
  const next = other.acquire(bench.name, { wait: 20_000 });
  next.catch(() => {});
  await waitersAre(other, bench, 2);
  granted.line.holding = side;
  await holder.release();
  await eventually("the claim is held back", () => granted.line.held > 0);
  return { ...granted, holder, waiting, next };
}

async function waitersAre(client: Client, bench: Bench, count: number): Promise<void> {
  await eventually(`${count} waiters`, async () => (await client.inspect(bench.name))?.waiters === count);
}

/** The next one has its turn; then nothing is left of anybody. */
async function nextHasIt(bench: Bench, next: Promise<Lease>): Promise<void> {
  await using lease = await next;
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  await lease.release();
  await nothingIsLeft(bench);
}

async function nothingIsLeft(bench: Bench): Promise<void> {
  await eventually(
    "nothing is left",
    async () => (await bench.redis.keys(`*${bench.app}||${bench.name}*`)).length === 0,
    10_000,
  );
}

for (const side of SIDES) {
  const which = side === "client" ? "the claim" : "its answer";

  test(`a grant is claimed on the line, and becomes a lease when ${which} comes through`, async (bench) => {
    const { client, line, waiting, next } = await heldBack(bench, side);
    assert.equal(client.stats().held, 0, "it is no lease before its claim is answered");
    line.letGo();
    const lease = await waiting;
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    assert.ok(lease.expiresIn > 20_000, "the claim set the full ttl");
    assert.equal(await lease.release(), true);
    assert.ok((await next).token > lease.token);
    await nextHasIt(bench, next);
    assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
  });

  test(`an abort while ${which} is held back: the next one has it`, async (bench) => {
    const controller = new AbortController();
    const { client, line, waiting, next } = await heldBack(bench, side, { signal: controller.signal });
    const start = performance.now();
    controller.abort();
    await assert.rejects(waiting, (error) => error === controller.signal.reason);
    assert.ok(performance.now() - start < 500, "it does not wait for the answer");
    line.letGo();
    await nextHasIt(bench, next);
    assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
    await (await client.acquire(bench.name)).release();
  });

  test(`an abort, and ${which} never comes: the next one has it when the line is given up`, async (bench) => {
    const controller = new AbortController();
    const { waiting, next } = await heldBack(bench, side, { signal: controller.signal, commandTimeout: 800 });
    controller.abort();
    await assert.rejects(waiting, (error) => error === controller.signal.reason);
    const start = performance.now();
    await nextHasIt(bench, next);
    assert.ok(performance.now() - start < 6_000, "far sooner than the ttl of 30 s");
  });

  test(`a wait that runs out while ${which} is held back is told in time, and the next one has it`, async (bench) => {
    const start = performance.now();
    const { client, line, waiting, next } = await heldBack(bench, side, { wait: 2_500, commandTimeout: 2_800 });
    await assert.rejects(waiting, { code: "LOCK_TIMEOUT" });
    const took = performance.now() - start;
    assert.ok(took >= 2_500 && took < 4_000, `it took ${took} ms`);
    const lease = await next;
    line.letGo();
    // What comes this late must not stay in the queue either.
    await lease.release();
    await nothingIsLeft(bench);
    assert.deepEqual([client.stats().held, client.stats().waiting, client.stats().timedOut], [0, 0, 1]);
    await (await client.acquire(bench.name, { wait: 5_000 })).release();
  });

  test(`field bug 20: a line that breaks while ${which} is held back: it is claimed elsewhere`, async (bench) => {
    const { client, line, waiting, next } = await heldBack(bench, side);
    line.cut();
    const lease = await waiting;
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    assert.equal(lease.held, true);
    await lease.release();
    await nextHasIt(bench, next);
    assert.equal(client.stats().held, 0);
  });

  test(`closing the client while ${which} is held back ends its acquire and leaves nothing`, async (bench) => {
    const { client, line, waiting, next } = await heldBack(bench, side);
    const closing = client.close();
    await sleep(100);
    line.letGo();
    await assert.rejects(waiting, { code: "CLIENT_CLOSED" });
    await closing;
    await nextHasIt(bench, next);
  });
}

test("a grant that comes while the event loop is blocked for three times the TTL becomes a live lease", async (bench) => {
  const { client } = await lined(bench);
  const other = bench.client();
  const holder = await other.acquire(bench.name);
  const waiting = client.acquire(bench.name, { ttl: 500 });
  await waitersAre(other, bench, 1);
  // Sent before the loop blocks; answered by the server while it does.
  const released = holder.release();
  await new Promise(setImmediate);
  block(1_500);
  assert.equal(await released, true);
  const lease = await waiting;
  assert.ok(lease.expiresIn > 250, `${lease.expiresIn} ms are left`);
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  await sleep(600);
  assert.equal(lease.held, true, "it is renewed");
  assert.equal(await lease.release(), true);
  await nothingIsLeft(bench);
});

test("a worker that is terminated while its claim is held back: the next one has it", async (bench) => {
  // The worker's connections go through this thread.
  const { relay } = await lined(bench);
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    (async () => {
      const client = new Client(workerData.url, { appId: workerData.appId });
      for (let i = 0; i < 20; i++) { await (await client.acquire("warm")).release(); }
      parentPort.once("message", () => client.acquire(workerData.name));
      parentPort.postMessage("warm");
    })();
  `;
  for (const side of SIDES) {
    const other = bench.client();
    const holder = await other.acquire(bench.name);
    const before = relay.connections;
    const workerData = { entry, url: relay.url, appId: bench.app, name: bench.name };
    const worker = new Worker(source, { eval: true, workerData });
    await once(worker, "message");
    const [, line] = relay.connections.filter((connection) => !before.includes(connection));
    assert.ok(line && line.sent > 0, "its second connection is its line");
    worker.postMessage("acquire");
    await waitersAre(other, bench, 1);
    const next = other.acquire(bench.name, { wait: 20_000 });
    await waitersAre(other, bench, 2);
    line.holding = side;
    await holder.release();
    await eventually("the claim is held back", () => line.held > 0);
    await worker.terminate();
    line.letGo();
    await nextHasIt(bench, next);
  }
});

/** Where a process waits for the name through a relay, and its claim is held back. */
async function scriptHeldBack(bench: Bench, side: Side, atGrant: string) {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const other = bench.client();
  const holder = await other.acquire(bench.name);
  const source = `${PRELUDE}
    for (let i = 0; i < 20; i++) await (await client.acquire("warm")).release();
    const controller = new AbortController();
    const acquiring = client.acquire(name, { ttl: 30_000, signal: controller.signal });
    process.once("SIGUSR2", () => { ${atGrant} });
    console.log("waits");
    await acquiring.catch((error) => console.log(error.name));
  `;
  const running = new Script(source, [relay.url, bench.app, bench.name]);
  await running.printed("waits");
  const [, line] = relay.connections;
  assert.ok(line && line.sent > 0, "its second connection is its line");
  await waitersAre(other, bench, 1);
  const next = other.acquire(bench.name, { wait: 40_000 });
  await waitersAre(other, bench, 2);
  line.holding = side;
  await holder.release();
  await eventually("the claim is held back", () => line.held > 0);
  return { running, line, next };
}

for (const side of SIDES) {
  const which = side === "client" ? "the claim" : "its answer";

  test(`a process that aborts while ${which} is held back ends when that is undone`, async (bench) => {
    const { running, line, next } = await scriptHeldBack(bench, side, "controller.abort()");
    running.kill("SIGUSR2");
    await running.printed("AbortError");
    line.letGo();
    const ended = await running.ended();
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    const start = performance.now();
    await nextHasIt(bench, next);
    assert.ok(performance.now() - start < 1_500, "neither a TTL nor a claim window went by");
  });

  test(`a process that aborts, and ${which} never comes, ends all the same`, async (bench) => {
    const { running, next } = await scriptHeldBack(bench, side, "controller.abort()");
    next.catch(() => {});
    const start = performance.now();
    running.kill("SIGUSR2");
    const ended = await running.ended();
    assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "waits\nAbortError\n", ""]);
    assert.ok(performance.now() - start < 3_000, "it waits a second for the undoing, not for ever");
  });
}

test("a process that exits before its claim is sent costs the next one the claim window, not the TTL", async (bench) => {
  const { running, next } = await scriptHeldBack(bench, "client", "process.exit(3)");
  running.kill("SIGUSR2");
  assert.equal((await running.ended()).code, 3);
  const start = performance.now();
  await nextHasIt(bench, next);
  assert.ok(performance.now() - start < 5_000);
});
