// A client's line: uncontended acquires and releases that the event loop itself sends and receives.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { Redis } from "ioredis";
import { Client, type Lease } from "leaselock";
import { test as benchTest } from "./support/bench.mjs";
import { block } from "./support/moments.mjs";
import { eventually, OwnServer, plainRedis } from "./support/servers.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

const entry = createRequire(import.meta.url).resolve("leaselock");

interface Lined {
  server: OwnServer;
  redis: Redis;
  client: Client;
  /** The server's number of the line's connection. */
  line: string;
}

/** A test with a client that has its line, on each server. */
function test(title: string, body: (lined: Lined) => Promise<void>): void {
  benchTest(title, async (bench) => {
    const server = await OwnServer.start(bench.server.binary, "--enable-debug-command", "yes");
    const redis = plainRedis(server.url);
    const client = new Client(server.url, { commandTimeout: 800 });
    try {
      await (await client.acquire("first")).release();
      const before = await connections(redis);
      const line = await openLine(client, redis, before);
      await body({ server, redis, client, line });
    } finally {
      server.resume();
      await client.close().catch(() => {});
      redis.disconnect();
      await server.stop();
    }
  });
}

async function connections(redis: Redis): Promise<string[]> {
  const list = (await redis.client("LIST")) as string;
  return [...list.matchAll(/^id=(\d+)/gm)].map(([, id]) => id as string);
}

/** Uses a client until one more connection is there, and in use. */
async function openLine(client: Client, redis: Redis, before: string[]): Promise<string> {
  return await eventually("the line is open", async () => {
    await (await client.acquire("first")).release();
    const line = (await connections(redis)).find((id) => !before.includes(id));
    if (line === undefined || !(await redis.client("LIST", "ID", line))?.toString().includes("cmd=evalsha")) {
      return undefined;
    }
    return line;
  });
}

/** The keys of locks and queues that are left. */
async function left(redis: Redis): Promise<string[]> {
  return (await redis.keys("*")).filter((key) => !key.endsWith("||fence"));
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`);

test("many in flight at once are all answered, in a few writes", async ({ redis, client, line }) => {
  for (let round = 0; round < 5; round += 1) {
    const leases = await Promise.all(names(64).map((name) => client.acquire(name)));
    assert.equal(new Set(leases.map((lease) => lease.token)).size, 64);
    assert.deepEqual(
      leases.map((lease) => lease.name),
      names(64),
    );
    assert.deepEqual(
      await Promise.all(leases.map((lease) => lease.release())),
      leases.map(() => true),
    );
  }
  const info = String(await redis.client("LIST", "ID", line));
  assert.match(info, /cmd=evalsha/, "it was the line that they went by");
  assert.deepEqual(await left(redis), []);
  assert.equal(client.stats().held, 0);
});

test("a name that is held is waited for, and told when it is tried once", async ({ redis, client }) => {
  const holder = await client.acquire("held");
  assert.equal(await client.tryAcquire("held"), null);
  await assert.rejects(client.acquire("held", { wait: 50 }), { code: "LOCK_TIMEOUT" });
  const waiting = client.acquire("held", { wait: 5_000 });
  await eventually("it waits", async () => (await client.inspect("held"))?.waiters === 1);
  assert.equal(await holder.release(), true);
  assert.equal(await holder.release(), true, "asked again");
  const next = await waiting;
  assert.ok(next.token > holder.token);
  assert.deepEqual(await Promise.all([next.release(), next.release(), next.release()]), [true, true, true]);
  assert.deepEqual(await left(redis), []);
});

test("field bug 20: what is under way when the line breaks goes on elsewhere", async ({ redis, client, line }) => {
  const held = await Promise.all(names(5).map((name) => client.acquire(name)));
  // The server is busy while the line fills, and then ends it.
  const busy = Promise.all([redis.call("DEBUG", "SLEEP", "0.2"), redis.client("KILL", "ID", line)]);
  await sleep(50);
  const releases = held.map((lease) => lease.release());
  const acquires = Array.from({ length: 20 }, (_, at) => client.acquire(`k${at}`));
  await busy;
  assert.deepEqual(await Promise.all(releases), [true, true, true, true, true]);
  const leases = await Promise.all(acquires);
  assert.ok(leases.every((lease) => lease.held));
  assert.ok(!(await connections(redis)).includes(line));
  // There is another line soon.
  await openLine(client, redis, await connections(redis));
  assert.deepEqual(new Set(await Promise.all(leases.map((lease) => lease.release()))), new Set([true]));
  assert.deepEqual(await left(redis), []);
});

test("a server that is silent for longer than the command time-out", async ({ server, redis, client }) => {
  const held = await client.acquire("held");
  server.pause();
  const start = performance.now();
  const ends = Promise.allSettled([
    client.tryAcquire("once"),
    client.acquire("short", { wait: 300 }),
    client.acquire("waiting"),
    held.release(),
  ]);
  await assert.rejects(client.acquire("shorter", { wait: 100 }), { code: "STORE_UNAVAILABLE" });
  const took = performance.now() - start;
  assert.ok(took > 200 && took < 700, `a short wait ended after ${took} ms`);
  const codes = (await ends).map((end) => (end.status === "rejected" ? end.reason.code : end.value));
  assert.deepEqual(codes, Array(4).fill("STORE_UNAVAILABLE"));
  assert.ok(performance.now() - start < 3_500);
  server.resume();
  await eventually("all is undone", async () => (await left(redis)).every((key) => key === "lock||held"), 8_000);
  assert.equal(await held.release(), true, "it may be tried again");
  assert.deepEqual(await left(redis), []);
});

test("field bug 20: an abort on the line leaves nothing behind", async ({ redis, client }) => {
  for (const ms of [0, 0.02, 0.1, 0.3, 1]) {
    const controller = new AbortController();
    const acquires = names(10).map((name) => client.acquire(name, { signal: controller.signal }));
    const others = names(10).map((name) => client.acquire(`other-${name}`));
    if (ms > 0.2) {
      await sleep(ms);
    } else {
      block(ms);
    }
    controller.abort();
    for (const end of await Promise.allSettled(acquires)) {
      if (end.status === "fulfilled") {
        await end.value.release();
      } else {
        assert.equal(end.reason, controller.signal.reason);
      }
    }
    await Promise.all((await Promise.all(others)).map((lease) => lease.release()));
    const again = await Promise.all(names(10).map((name) => client.acquire(name, { wait: 4_000 })));
    await Promise.all(again.map((lease) => lease.release()));
  }
  await eventually("nothing is left", async () => (await left(redis)).length === 0);
  assert.equal(client.stats().held, 0);
});

test("field bug 7: an answer that was left lying does not become a lease that is over", async ({ redis, client }) => {
  const acquiring = client.acquire("res", { ttl: 400, renew: false });
  block(600);
  const lease: Lease = await acquiring;
  assert.ok(lease.held);
  assert.ok(lease.expiresIn > 200, `${lease.expiresIn} ms are left`);
  assert.equal(await redis.get("lock||res"), lease.owner);
  assert.equal(await lease.release(), true);
});

test("closing a client while its line is busy ends everything", async ({ redis, client }) => {
  const held = await client.acquire("held");
  const acquires = names(20).map((name) => client.acquire(name));
  const closing = client.close();
  for (const end of await Promise.allSettled(acquires)) {
    assert.ok(end.status === "fulfilled" || end.reason.code === "CLIENT_CLOSED", JSON.stringify(end));
  }
  await closing;
  assert.equal(held.held, false);
  await eventually("nothing is left", async () => (await left(redis)).length === 0);
  await eventually("its connections are closed", async () => (await connections(redis)).length === 1);
});

test("a worker that is terminated with operations on its line leaves nothing", async ({ server, redis }) => {
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    (async () => {
      const client = new Client(workerData.url);
      const use = async (name) => { for (;;) await (await client.acquire(name)).release(); };
      for (let i = 0; i < 32; i++) use("w" + i);
      setTimeout(() => parentPort.postMessage(1), 100);
    })();
  `;
  for (let round = 0; round < 4; round += 1) {
    const worker = new Worker(source, { eval: true, workerData: { entry, url: server.url } });
    await once(worker, "message");
    if (round % 2) {
      server.pause();
    }
    await worker.terminate();
    server.resume();
    await eventually("nothing is left", async () => (await left(redis)).length === 0, 10_000);
  }
});

test("a line keeps the process alive while something is under way on it, and not otherwise", async ({ server }) => {
  const use = `
    for (let i = 0; i < 20; i++) { await (await client.acquire(name)).release(); await sleep(5); }
  `;
  const idle = new Script(`${PRELUDE}${use} globalThis.held = await client.acquire(name);`, [server.url, "app", "a"]);
  const ended = await idle.ended();
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "", ""]);
  assert.ok(ended.took < 5_000);
  const busy = new Script(
    `${PRELUDE}${use}
    console.log("used");
    await sleep(200);
    client.acquire(name).then((lease) => lease.release()).then((gave) => console.log("released", gave));`,
    [server.url, "app", "b"],
  );
  await busy.printed("used");
  server.pause();
  await sleep(700);
  server.resume();
  const { code, stdout, stderr } = await busy.ended();
  assert.deepEqual([code, stdout, stderr], [0, "used\nreleased true\n", ""]);
});
