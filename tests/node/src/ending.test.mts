// Threads and processes that end in the instant of a grant: the next one has its turn, and nothing is left.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type Bench, test } from "./support/bench.mjs";
import { HELD, type Held, handOver, nextHasIt, nextWaits, renewed, TURN } from "./support/grants.mjs";
import { lined } from "./support/lined.mjs";
import { Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

const entry = createRequire(import.meta.url).resolve("leaselock");

/** A worker thread whose client has its line, by a relay in this thread; it waits for the name, and blocks when told. */
async function waitingWorker(bench: Bench, relay: Relay, what: Held) {
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    (async () => {
      const client = new Client(workerData.url, { appId: workerData.appId });
      for (let i = 0; i < 20; i++) { await (await client.acquire("warm")).release(); }
      client.acquire(workerData.name, { renew: workerData.renew });
      parentPort.once("message", () => {
        parentPort.postMessage("blocks");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });
    })();
  `;
  const before = relay.connections;
  const workerData = { entry, url: relay.url, appId: bench.app, name: bench.name, renew: renewed(what) };
  const other = bench.client();
  const holder = await other.acquire(bench.name);
  const worker = new Worker(source, { eval: true, workerData });
  const { next } = await nextWaits(other, bench);
  const [shared] = relay.connections.filter((connection) => !before.includes(connection));
  assert.ok(shared);
  return { worker, shared, holder, next };
}

test("a worker that is terminated while its grant or claim is held back: the next one has it", async (bench) => {
  const { relay } = await lined(bench);
  for (const what of HELD) {
    const { worker, shared, holder, next } = await waitingWorker(bench, relay, what);
    await handOver(holder, shared, what);
    await worker.terminate();
    shared.letGo();
    await nextHasIt(bench, next);
  }
});

test("a worker that is terminated before it has seen the lease that a grant began: the next one has it", async (bench) => {
  const { relay } = await lined(bench);
  const { worker, holder, next } = await waitingWorker(bench, relay, "the grant");
  worker.postMessage("block");
  await once(worker, "message");
  await holder.release();
  await eventually("its lease is renewed", async () => (await bench.redis.pttl(bench.key)) > 20_000);
  const start = performance.now();
  await worker.terminate();
  await nextHasIt(bench, next);
  assert.ok(performance.now() - start < TURN);
});

/** A process that waits for the name through a relay, and does something when it gets the signal SIGUSR2. */
async function waitingScript(bench: Bench, atSignal: string, renew: boolean) {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const other = bench.client();
  const holder = await other.acquire(bench.name);
  const source = `${PRELUDE}
    for (let i = 0; i < 20; i++) await (await client.acquire("warm")).release();
    const controller = new AbortController();
    const acquiring = client.acquire(name, { renew: ${renew}, signal: controller.signal });
    const alive = setInterval(() => {}, 60_000);
    process.once("SIGUSR2", () => { clearInterval(alive); ${atSignal} });
    console.log("waits");
    await acquiring.catch((error) => console.log(error.name));
  `;
  const running = new Script(source, [relay.url, bench.app, bench.name]);
  await running.printed("waits");
  const { next } = await nextWaits(other, bench);
  const [shared] = relay.connections;
  assert.ok(shared);
  return { running, shared, holder, next };
}

/** The name was handed over to such a process, and that is held back. */
async function heldBackScript(bench: Bench, what: Held, atSignal: string, renew = renewed(what)) {
  const script = await waitingScript(bench, atSignal, renew);
  await handOver(script.holder, script.shared, what);
  return script;
}

for (const what of HELD) {
  test(`a process that aborts while ${what} is held back ends when that is undone`, async (bench) => {
    const { running, shared, next } = await heldBackScript(bench, what, "controller.abort()");
    running.kill("SIGUSR2");
    await running.printed("AbortError");
    shared.letGo();
    const ended = await running.ended();
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    assert.equal((await bench.client().inspect(bench.name))?.waiters, 0, "the next one has it already");
    await nextHasIt(bench, next);
  });

  test(`a process that aborts while ${what} stays held back ends all the same`, async (bench) => {
    const { running } = await heldBackScript(bench, what, "controller.abort()");
    const start = performance.now();
    running.kill("SIGUSR2");
    const ended = await running.ended();
    assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "waits\nAbortError\n", ""]);
    const took = performance.now() - start;
    assert.ok(took >= 1_000 && took < 4_000, `it waits a second for the undoing, not for ever: ${took} ms`);
  });
}

test("a process that aborts before it has seen the lease that a grant began ends when that is given back", async (bench) => {
  const atSignal = `
    console.log("blocks");
    const end = performance.now() + 1_500;
    while (client.stats().held === 0 && performance.now() < end);
    controller.abort();
  `;
  const { running, shared, holder } = await waitingScript(bench, atSignal, true);
  running.kill("SIGUSR2");
  await running.printed("blocks");
  const start = performance.now();
  await handOver(holder, shared, "the claim");
  const ended = await running.ended();
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "waits\nblocks\nAbortError\n", ""]);
  const took = performance.now() - start;
  assert.ok(took >= 1_000 && took < 4_000, `it waits a second for the release, not for ever: ${took} ms`);
});

for (const [when, what, renew] of [
  ["before it reads its grant", "the grant", true],
  ["before its claim is sent", "the claim", false],
  ["before the lease that a grant began is renewed", "the claim", true],
] as const) {
  test(`a process that exits ${when} costs the next one the claim window, not the ttl`, async (bench) => {
    const { running, next } = await heldBackScript(bench, what, "process.exit(3)", renew);
    running.kill("SIGUSR2");
    assert.equal((await running.ended()).code, 3);
    const start = performance.now();
    await nextHasIt(bench, next);
    assert.ok(performance.now() - start < TURN);
  });
}

test("a process that detaches a lease that a grant began ends when that has its full ttl", async (bench) => {
  const detach = 'acquiring.then((lease) => { lease.detach(); console.log("detached"); })';
  const { running, shared } = await heldBackScript(bench, "the claim", detach, true);
  running.kill("SIGUSR2");
  await running.printed("detached");
  await sleep(200);
  shared.letGo();
  const ended = await running.ended();
  assert.deepEqual([ended.code, ended.stderr], [0, ""]);
  assert.ok((await bench.redis.pttl(bench.key)) > 20_000);
});
