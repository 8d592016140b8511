// worker_threads: each has its own clients, all share one runtime, and any may end at any moment.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { it } from "node:test";
import { Worker } from "node:worker_threads";
import { type Bench, test } from "./support/bench.mjs";
import { eventually } from "./support/servers.mjs";
import { Script } from "./support/subprocess.mjs";

const entry = createRequire(import.meta.url).resolve("leaselock");

/** A worker that runs `body` with a client, and says what it posts. */
function worker(bench: Bench, body: string, env?: NodeJS.ProcessEnv): Worker {
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    const { url, appId, name } = workerData;
    (async () => { const client = new Client(url, { appId }); ${body} })()
      .catch((error) => parentPort.postMessage({ error: error.name }));
  `;
  const workerData = { entry, url: bench.server.url, appId: bench.app, name: bench.name };
  return new Worker(source, { eval: true, workerData, ...(env && { env }) });
}

async function message(from: Worker): Promise<unknown> {
  const [value] = (await once(from, "message")) as [unknown];
  return value;
}

test("workers and the main thread exclude each other", async (bench) => {
  const body = `
    let seen = 0;
    for (let i = 0; i < 20; i++) await client.using(name, { ttl: 5_000 }, (lease) => { seen = lease.token; });
    parentPort.postMessage({ seen });
  `;
  const lease = await bench.client().acquire(bench.name);
  const workers = [worker(bench, body), worker(bench, body), worker(bench, body)];
  const ends = workers.map(message);
  await eventually("all wait", async () => (await bench.client().inspect(bench.name))?.waiters === 3);
  await lease.release();
  for (const { seen } of (await Promise.all(ends)) as { seen: number }[]) {
    assert.ok(seen > lease.token);
  }
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("field bug 22: what one worker took another can give back, by its owner", async (bench) => {
  const holder = worker(
    bench,
    `const lease = await client.acquire(name); lease.detach(); parentPort.postMessage(lease.owner);`,
  );
  const owner = (await message(holder)) as string;
  assert.equal(await bench.client().release(bench.name, owner), "RELEASED");
  await holder.terminate();
});

test("a worker that ends by itself, holding a lease, gives it back", async (bench) => {
  const ending = worker(
    bench,
    `globalThis.lease = await client.acquire(name, { ttl: 30_000 }); parentPort.postMessage(1);`,
  );
  // Listened for at once: the end may come in one turn of the loop with the message.
  const exit = once(ending, "exit");
  await message(ending);
  const [code] = (await exit) as [number];
  assert.equal(code, 0);
  await eventually("the name is free", async () => (await bench.redis.exists(bench.key)) === 0);
});

test("worker.terminate ends one that holds and waits; its leases are given back and its place is left", async (bench) => {
  for (let round = 0; round < 5; round += 1) {
    const busy = worker(
      bench,
      `
      globalThis.lease = await client.acquire(name + "-own", { ttl: 30_000 });
      globalThis.more = await Promise.all(Array.from({ length: 20 }, (_, i) => client.acquire(name + i)));
      client.acquire(name);
      parentPort.postMessage("ready");
      for (;;) await client.inspect(name);
      `,
    );
    const lease = await bench.client().acquire(bench.name, { ttl: 30_000 });
    assert.equal(await message(busy), "ready");
    await eventually("it waits", async () => (await bench.client().inspect(bench.name))?.waiters === 1);
    const start = performance.now();
    await busy.terminate();
    assert.ok(performance.now() - start < 2_000);
    await eventually("its leases are given back", async () => {
      return (await bench.redis.exists(`${bench.key}-own`)) === 0;
    });
    await eventually("its place is left", async () => (await bench.client().inspect(bench.name))?.waiters === 0);
    await lease.release();
  }
});

test("a worker has the environment it was given", async (bench) => {
  const source = `const own = new Client(); parentPort.postMessage((await own.inspect(name)) !== null);`;
  bench.keep(await bench.client().acquire(bench.name));
  const env = { ...process.env, LEASELOCK_URL: bench.server.url, LEASELOCK_APP_ID: bench.app };
  const own = worker(bench, source, env);
  assert.equal(await message(own), true);
  await own.terminate();
});

it("a process whose workers alone use the addon can end them all, again and again", async () => {
  const source = `
    import { once } from "node:events";
    import { Worker } from "node:worker_threads";
    const source = "const { Client } = require(" + JSON.stringify(process.argv[1]) + ");" +
      "const client = new Client('redis://127.0.0.1:1', { commandTimeout: 5000 });" +
      "client.acquire('name').catch(() => {}); require('node:worker_threads').parentPort.postMessage(1);";
    for (let i = 0; i < 10; i += 1) {
      const workers = Array.from({ length: 3 }, () => new Worker(source, { eval: true, execArgv: [] }));
      await Promise.all(workers.map((worker) => once(worker, "message")));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    console.log("done");
  `;
  const ended = await new Script(source, [entry]).ended();
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "done\n", ""]);
});

it("process.exit in the main thread ends workers that hold and wait", async () => {
  const source = `
    import { once } from "node:events";
    import { Worker } from "node:worker_threads";
    const source = "const { Client } = require(" + JSON.stringify(process.argv[1]) + ");" +
      "const client = new Client('redis://127.0.0.1:1', { commandTimeout: 5000 });" +
      "for (let i = 0; i < 50; i++) client.acquire('name' + i).catch(() => {});" +
      "require('node:worker_threads').parentPort.postMessage(1);";
    const workers = Array.from({ length: 3 }, () => new Worker(source, { eval: true, execArgv: [] }));
    await Promise.all(workers.map((worker) => once(worker, "message")));
    process.exit(0);
  `;
  const ended = await new Script(source, [entry]).ended();
  assert.deepEqual([ended.code, ended.stderr], [0, ""]);
});
