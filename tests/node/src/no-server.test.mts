// file: and memory: from Node: its event loop, its threads and its processes on a store without a server.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { Client, type LeaselockError, StoreRefusedError } from "leaselock";
import { abortedAt, block, pause } from "./support/moments.mjs";
import { eventually } from "./support/servers.mjs";
import { Folder, fileTest, memoryTest, type Store, test } from "./support/stores.mjs";
import { type Ended, PRELUDE } from "./support/subprocess.mjs";

const entry = createRequire(import.meta.url).resolve("leaselock");

/** Starting Node and ending; far below the TTL of 30 s. */
const SOON = 5_000;

function endedWell(ended: Ended): void {
  assert.deepEqual([ended.code, ended.signal, ended.stderr], [0, null, ""]);
  assert.ok(ended.took < SOON, `it took ${ended.took} ms to end`);
}

async function waitersAre(client: Client, name: string, count: number): Promise<void> {
  await eventually(`${count} waiters`, async () => (await client.inspect(name))?.waiters === count);
}

/** A worker that runs `body` with a client of the store. */
function worker(store: Store, body: string): Worker {
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    const { url, name } = workerData;
    (async () => { const client = new Client(url); ${body} })()
      .catch((error) => parentPort.postMessage(error.stack));
  `;
  return new Worker(source, { eval: true, workerData: { entry, url: store.url, name: store.name } });
}

async function message(from: Worker): Promise<unknown> {
  const [value] = (await once(from, "message")) as [unknown];
  return value;
}

test("many operations at once each get their own answer", async (store) => {
  const client = store.client();
  const leases = await Promise.all(Array.from({ length: 200 }, (_, i) => client.acquire(`${store.name}-${i}`)));
  assert.equal(new Set(leases.map(({ token }) => token)).size, 200);
  assert.deepEqual(new Set(await Promise.all(leases.map((lease) => lease.release()))), new Set([true]));
  let inside = 0;
  const turns = Array.from({ length: 50 }, () =>
    client.using(store.name, { ttl: 10_000 }, async (lease) => {
      inside += 1;
      await sleep(0);
      assert.equal(inside, 1, "one at a time");
      inside -= 1;
      return lease.token;
    }),
  );
  const tokens = await Promise.all(turns);
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
    "in the order in which they came",
  );
  assert.equal(client.stats().held, 0);
});

test("await using gives back the lease, then the client", async (store) => {
  const watcher = store.client();
  {
    await using client = new Client(store.url);
    await using lease = await client.acquire(store.name);
    assert.equal((await watcher.inspect(store.name))?.owner, lease.owner);
  }
  assert.equal(await watcher.inspect(store.name), null);
});

test("an event loop blocked for three times the TTL keeps the lease, and gets what it was granted", async (store) => {
  const client = store.client();
  const lease = await client.acquire(store.name, { ttl: 500 });
  const { signal } = lease;
  const granted = client.acquire(store.name, { ttl: 500 });
  await waitersAre(client, store.name, 1);
  block(1_500);
  assert.equal(lease.held, true);
  await sleep(20);
  assert.equal(signal.aborted, false);
  const releasing = lease.release();
  block(1_500);
  assert.equal(await releasing, true);
  const next = await granted;
  assert.equal(next.held, true);
  assert.equal((await client.inspect(store.name))?.owner, next.owner);
  assert.equal(await next.release(), true);
});

test("an acquire aborted at any moment leaves neither a lock nor a place in the queue", async (store) => {
  const client = store.client();
  for (const contended of [false, true]) {
    for (const moment of [0, 0.1, 0.3, 1, 3, 10, 30]) {
      const holder = contended ? await client.acquire(store.name) : undefined;
      let released: Promise<boolean> | undefined;
      const passes = async () => {
        released = moment > 1 ? holder?.release() : undefined;
        await pause(moment);
      };
      await abortedAt(passes, (signal) => client.acquire(store.name, { signal }));
      await released;
      await holder?.release();
      await (await client.acquire(store.name, { wait: 4_000 })).release();
    }
  }
  await eventually("nothing is left", async () => (await client.inspect(store.name)) === null);
  assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
});

test("threads share the store: they exclude each other, and wait for each other", async (store) => {
  const body = `
    for (let i = 0; i < 20; i++) await client.using(name, { ttl: 5_000 }, () => {});
    const lease = await client.acquire(name);
    await lease.release();
    parentPort.postMessage(lease.token);
  `;
  const client = store.client();
  const lease = await client.acquire(store.name);
  const ends = [1, 2, 3].map(() => message(worker(store, body)));
  await waitersAre(client, store.name, 3);
  await lease.release();
  const tokens = await Promise.all(ends);
  assert.ok(
    tokens.every((token) => typeof token === "number" && token > lease.token),
    String(tokens),
  );
  await eventually("it is free", async () => (await client.inspect(store.name)) === null);
});

test("a worker that is terminated gives back its leases and leaves the queue", async (store) => {
  const client = store.client();
  const lease = await client.acquire(store.name);
  const busy = worker(
    store,
    `
    globalThis.lease = await client.acquire(name + "-own", { ttl: 30_000 });
    client.acquire(name);
    parentPort.postMessage("ready");
    for (;;) await client.inspect(name);
    `,
  );
  assert.equal(await message(busy), "ready");
  await waitersAre(client, store.name, 1);
  await busy.terminate();
  await waitersAre(client, store.name, 0);
  await eventually("its lease is given back", async () => (await client.inspect(`${store.name}-own`)) === null);
  await lease.release();
});

memoryTest("other names are other stores; a process has its own", async (store) => {
  const lease = await store.client().acquire(store.name);
  await using other = new Client(`${store.url}-2`);
  assert.equal(await other.inspect(store.name), null);
  const ended = await store.script(`${PRELUDE} console.log(await client.inspect(name));`).ended();
  endedWell(ended);
  assert.equal(ended.stdout, "null\n");
  await lease.release();
});

test("held leases do not keep a process alive, pending acquires do", async (store) => {
  const ended = await store
    .script(
      `${PRELUDE}
      globalThis.held = await client.acquire(name + "-held", { ttl: 30_000 });
      await client.acquire(name, { ttl: 800, renew: false });
      client.acquire(name).then((lease) => lease.release()).then((gave) => console.log(gave));
      `,
    )
    .ended();
  endedWell(ended);
  assert.equal(ended.stdout, "true\n");
});

test("an acquire aborted when its lease is there already is given back before the process ends", async (store) => {
  const source = `${PRELUDE}
    const controller = new AbortController();
    const acquiring = client.acquire(name, { ttl: 30_000, signal: controller.signal });
    const end = performance.now() + 200;
    while (performance.now() < end);
    controller.abort();
    await acquiring.catch((error) => console.log(error.name));
  `;
  const ended = await store.script(source).ended();
  endedWell(ended);
  assert.equal(ended.stdout, "AbortError\n");
  assert.equal(await store.client().inspect(store.name), null);
});

test("a lease that is collected is given back, with a process warning", async (store) => {
  const source = `${PRELUDE}
    await (async () => { await client.acquire(name); })();
    for (let i = 0; i < 10; i++) { globalThis.gc(); await sleep(20); }
    console.log(await client.inspect(name));
    const waiting = await (async () => {
      const other = new Client(url, { appId });
      const lease = await other.acquire(name, { ttl: 400 });
      return { lease, next: other.acquire(name).then((next) => next.release()) };
    })();
    for (let i = 0; i < 10; i++) { globalThis.gc(); await sleep(20); }
    await sleep(500);
    console.log(waiting.lease.held, await waiting.lease.release(), await waiting.next);
  `;
  const { code, stdout, stderr } = await store.script(source, ["--expose-gc"]).ended();
  assert.deepEqual([code, stdout], [0, "null\ntrue true true\n"]);
  assert.match(stderr, /^\(node:\d+\) \[LEASELOCK_COLLECTED\] LeaselockWarning: /);
});

fileTest("a process that ends without a word leaves its name to the TTL, and the next one gets it", async (store) => {
  const client = store.client();
  for (const end of ["process.exit(0)", 'process.kill(process.pid, "SIGKILL")']) {
    const script = store.script(
      `${PRELUDE} globalThis.lease = await client.acquire(name, { ttl: 1_500 }); client.acquire(name); await sleep(100); ${end};`,
    );
    await script.ended();
    const start = performance.now();
    const lease = await client.acquire(store.name, { wait: 10_000 });
    assert.ok(performance.now() - start < 2_500);
    await lease.release();
  }
});

fileTest("a wait for another process ends by a release, and by an abort at once", async (store) => {
  const holder = store.script(
    `${PRELUDE}
    const lease = await client.acquire(name);
    process.on("SIGUSR2", () => lease.release());
    process.on("SIGTERM", () => process.exit(0));
    console.log("held");
    await sleep(60_000);
    `,
  );
  await holder.printed("held");
  const client = store.client();
  const controller = new AbortController();
  const aborted = client.acquire(store.name, { signal: controller.signal });
  const waiting = client.acquire(store.name);
  await waitersAre(client, store.name, 2);
  controller.abort();
  await assert.rejects(aborted, (error) => error === controller.signal.reason);
  await waitersAre(client, store.name, 1);
  await assert.rejects(client.acquire(store.name, { wait: 50 }), { code: "LOCK_TIMEOUT" });
  holder.kill("SIGUSR2");
  assert.equal(await (await waiting).release(), true);
  holder.kill("SIGTERM");
  assert.equal((await holder.ended()).code, 0);
});

fileTest("closed, it leaves one file behind, which is for its owner alone", async (store, folder) => {
  const client = new Client(pathToFileURL(folder.file).href);
  await using other = store.client();
  const lease = await client.acquire(store.name);
  const waiting = other.acquire(store.name);
  await waitersAre(client, store.name, 1);
  await client.close();
  assert.equal(lease.held, false);
  await (await waiting).release();
  await other.close();
  await eventually("it is alone", () => folder.content.join() === "locks.db");
});

it("what is no store, or cannot be written, is refused with its name and what to do", async (t) => {
  const folder = new Folder();
  t.after(() => folder.remove());
  const refusal = async (path: string): Promise<string> => {
    await using client = new Client(`file:${path}`);
    const errors: LeaselockError[] = [];
    for (const attempt of [() => client.acquire("job"), () => client.tryAcquire("job"), () => client.inspect("job")]) {
      await attempt().catch((error: LeaselockError) => errors.push(error));
    }
    assert.deepEqual(
      errors.map((error) => [error.constructor, error.code]),
      Array(3).fill([StoreRefusedError, "STORE_REFUSED"]),
    );
    assert.ok(errors[0]?.message.includes(dirname(path)), errors[0]?.message);
    return errors[0]?.message ?? "";
  };
  const diary = join(folder.path, "diary.txt");
  writeFileSync(diary, "Dear diary, ".repeat(500));
  assert.match(await refusal(diary), /is not a leaselock store.*name another file/s);
  assert.match(await refusal(join(folder.path, "missing", "locks.db")), /create its directory first/);
  mkdirSync(join(folder.path, "locks.d"));
  assert.match(await refusal(join(folder.path, "locks.d")), /directory/);

  const guarded = join(folder.path, "guarded");
  mkdirSync(guarded);
  chmodSync(guarded, 0o555);
  chmodSync(folder.path, 0o755);
  // Permissions are not for root.
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) {
    process.seteuid?.(65_534);
  }
  try {
    assert.match(await refusal(join(guarded, "locks.db")), /this user may not/);
  } finally {
    if (isRoot) {
      process.seteuid?.(0);
    }
  }
});
