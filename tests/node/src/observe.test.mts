// Observers: where and in which context they are called, and what becomes of their errors. The scenarios have what is told.

import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { Client, type LockEvent, observe } from "leaselock";

const run = promisify(execFile);
const storage = new AsyncLocalStorage<string>();

/** A client on a store of its own, and what observers hear of its app. */
function observed() {
  const appId = randomUUID();
  const seen: { event: LockEvent; context: string | undefined }[] = [];
  const stop = observe((event) => {
    if (event.appId === appId) {
      seen.push({ event, context: storage.getStore() });
    }
  });
  return { client: new Client(`memory:${appId}`, { appId }), appId, seen, stop };
}

test("an observer runs in the async context of each acquire", async () => {
  const { client, seen, stop } = observed();
  const task = async (name: string) => {
    await client.using(name, { ttl: 5000 }, () => sleep(5));
    await (await client.tryAcquire(name))?.release();
  };
  await Promise.all(Array.from({ length: 10 }, (_, n) => storage.run(`task-${n}`, () => task(`task-${n}`))));
  await client.close();
  stop();
  assert.equal(seen.length, 40);
  for (const { event, context } of seen) {
    assert.equal(context, event.name);
  }
});

test("closing waits for observers, and who stops hears no more", async () => {
  const { client, appId, seen, stop } = observed();
  for (let n = 0; n < 3; n += 1) {
    await (await client.acquire("n")).release();
  }
  await client.close();
  assert.deepEqual(
    seen.map(({ event }) => event.kind),
    ["acquired", "released", "acquired", "released", "acquired", "released"],
  );
  stop();
  stop();
  const other = new Client(`memory:${appId}`, { appId });
  await (await other.acquire("n")).release();
  await other.close();
  await sleep(100);
  assert.equal(seen.length, 6);
});

test("an observer is called without an end of the client as well, and soon", async () => {
  const { client, seen, stop } = observed();
  const lease = await client.acquire("n");
  for (let n = 0; n < 200 && seen.length === 0; n += 1) {
    await sleep(10);
  }
  assert.equal(seen[0]?.event.kind, "acquired");
  assert.equal(seen[0]?.event.token, lease.token);
  await client.close();
  stop();
});

test("who is no function is refused", () => {
  assert.throws(() => observe("me" as never), TypeError);
});

test("contexts are let go with their leases", async () => {
  const program = `
    const { AsyncLocalStorage } = require("node:async_hooks");
    const { Client, observe } = require("leaselock");
    observe(() => {});
    const storage = new AsyncLocalStorage();
    const client = new Client("memory:x");
    const refs = [];
    const one = async (name) => {
      const big = { data: new Array(1000).fill(name) };
      refs.push(new WeakRef(big));
      await storage.run(big, async () => (await client.acquire(name)).release());
      await client.acquire("n", { ttl: 1 }).catch(() => {});
    };
    (async () => {
      for (let n = 0; n < 50; n += 1) await one("n" + n);
      for (let n = 0; n < 200 && refs.some((ref) => ref.deref()); n += 1) {
        await (await client.acquire("again")).release();
        await new Promise((done) => setTimeout(done, 20));
        gc();
      }
      console.log(refs.filter((ref) => ref.deref()).length);
      await client.close();
    })();
  `;
  const { stdout } = await run(process.execPath, ["--expose-gc", "-e", program]);
  // The last one may be kept by the loop itself.
  assert.ok(Number(stdout) <= 1, stdout);
});

test("what an observer throws is an uncaught exception, and others hear on", async () => {
  const program = `
    const { Client, observe } = require("leaselock");
    process.on("uncaughtException", (error) => console.log("uncaught", error.message));
    observe((event) => { throw new Error(event.kind); });
    observe((event) => console.log("heard", event.kind));
    const client = new Client("memory:x");
    client.acquire("n").then(async (lease) => { await lease.release(); await client.close(); });
  `;
  const { stdout } = await run(process.execPath, ["-e", program]);
  assert.deepEqual(stdout.trim().split("\n").sort(), [
    "heard acquired",
    "heard released",
    "uncaught acquired",
    "uncaught released",
  ]);
});

test("an observer keeps no process alive", async () => {
  const program = `
    const { Client, observe } = require("leaselock");
    observe(() => {});
    const client = new Client("memory:x");
    client.acquire("n").then((lease) => lease.release());
  `;
  const begun = performance.now();
  await run(process.execPath, ["-e", program]);
  assert.ok(performance.now() - begun < 5000);
});

test("workers hear of their own clients", async () => {
  const program = `
    const { Worker, isMainThread, parentPort } = require("node:worker_threads");
    const { Client, observe } = require("leaselock");
    const heard = [];
    observe((event) => heard.push(event.name));
    const client = new Client("memory:x");
    const name = isMainThread ? "main" : "worker";
    (async () => {
      await (await client.acquire(name)).release();
      await client.close();
      if (!isMainThread) return parentPort.postMessage(heard);
      const worker = new Worker(process.argv[1]);
      worker.on("message", (theirs) => console.log(JSON.stringify([heard, theirs])));
    })();
  `;
  const { mkdtemp, writeFile, rm } = await import("node:fs/promises");
  const folder = await mkdtemp(`${import.meta.dirname}/worker-`);
  try {
    await writeFile(`${folder}/program.cjs`, program);
    const { stdout } = await run(process.execPath, [`${folder}/program.cjs`]);
    assert.deepEqual(JSON.parse(stdout), [
      ["main", "main"],
      ["worker", "worker"],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
