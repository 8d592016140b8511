// How a process ends: by itself when nothing is pending, promptly on Ctrl-C, without a word on stderr.

import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, test } from "./support/bench.mjs";
import { CountingListener, Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";
import { type Ended, PRELUDE, Script } from "./support/subprocess.mjs";

function script(bench: Bench, body: string, flags: string[] = []): Script {
  return new Script(PRELUDE + body, [bench.server.url, bench.app, bench.name], flags);
}

function endedWell(ended: Ended, within: number): void {
  assert.deepEqual([ended.code, ended.signal, ended.stderr], [0, null, ""]);
  assert.ok(ended.took < within, `it took ${ended.took} ms to end`);
}

/** Starting Node, connecting, and ending; far below the TTL of 30 s. */
const SOON = 5_000;

test("field bug 19: held leases and their renewals do not keep the process alive", async (bench) => {
  const ended = await script(
    bench,
    `
    const lease = await client.acquire(name, { ttl: 600 });
    const other = await client.acquire(name + "-2", { ttl: 30_000 });
    lease.signal.addEventListener("abort", () => console.log("aborted"));
    await sleep(1_000);
    console.log(lease.held, other.held);
    `,
  ).ended();
  endedWell(ended, SOON);
  assert.equal(ended.stdout, "true true\n");
});

test("a process with an open client and nothing pending ends by itself", async (bench) => {
  endedWell(await script(bench, "await client.inspect(name);").ended(), SOON);
  endedWell(await script(bench, "await client.using(name, () => {}); await client.close();").ended(), SOON);
  endedWell(await script(bench, "").ended(), SOON);
});

test("a pending acquire keeps the process alive until it is answered", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 20_000 });
  const waiting = script(bench, `console.log("waits"); console.log((await client.acquire(name)).held);`);
  await waiting.printed("waits");
  await sleep(1_500);
  await lease.release();
  const ended = await waiting.ended();
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "waits\ntrue\n", ""]);
});

test("an aborted acquire no longer keeps the process alive, and is undone before it ends", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 20_000 });
  const ended = await script(
    bench,
    `
    await client.acquire(name, { signal: AbortSignal.timeout(400) }).catch((error) => console.log(error.name));
    `,
  ).ended();
  endedWell(ended, SOON);
  assert.equal(ended.stdout, "TimeoutError\n");
  assert.equal((await bench.client().inspect(bench.name))?.waiters, 0);
  await lease.release();
});

test("an acquire aborted when its lease is there already is given back before the process ends", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const source = `${PRELUDE}
    const block = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };
    const controller = new AbortController();
    const acquiring = client.acquire(name, { ttl: 30_000, signal: controller.signal });
    block(300);
    console.log("answered"); // by the server; the loop has not turned since
    block(300);
    controller.abort();
    await acquiring.catch((error) => console.log(error.name));
  `;
  const running = new Script(source, [relay.url, bench.app, bench.name]);
  await running.printed("answered");
  assert.equal(await bench.redis.exists(bench.key), 1);
  for (const connection of relay.connections) {
    connection.holding = "client";
  }
  await eventually("the release is on its way", () => relay.connections.some(({ held }) => held > 0));
  await sleep(200);
  for (const connection of relay.connections) {
    connection.letGo();
  }
  const ended = await running.ended();
  endedWell(ended, SOON);
  assert.equal(ended.stdout, "answered\nAbortError\n");
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("process.exit ends at once, with leases held and waiters pending", async (bench) => {
  const ended = await script(
    bench,
    `
    globalThis.lease = await client.acquire(name);
    client.acquire(name);
    client.acquire(name);
    await sleep(100);
    process.exit(0);
    `,
  ).ended();
  endedWell(ended, SOON);
});

test("the rejection of an acquire that nobody handles is the user's, and is one", async (bench) => {
  const ended = await script(
    bench,
    `globalThis.lease = await client.acquire(name); client.acquire(name, { wait: 50 });`,
  ).ended();
  assert.equal(ended.code, 1);
  assert.equal(ended.stderr.match(/LockTimeoutError:/g)?.length, 1);
});

test("handled errors leave no rejection unhandled", async (bench) => {
  const ended = await script(
    bench,
    `
    process.on("unhandledRejection", (error) => console.log("unhandled", error));
    const lease = globalThis.lease = await client.acquire(name, { ttl: 300 });
    await client.acquire(name, { wait: 20 }).catch(() => {});
    await client.acquire(name, { signal: AbortSignal.timeout(20) }).catch(() => {});
    await client.forceRelease(name);
    await sleep(400);
    lease.signal.aborted || console.log("not lost");
    await client.using(name, async (lease) => { await client.forceRelease(name); await sleep(50); }).catch(() => {});
    const closing = client.acquire(name).then((lease) => { globalThis.other = lease; return client.acquire(name); }).catch(() => {});
    await sleep(50);
    await client.close();
    await closing;
    `,
  ).ended();
  endedWell(ended, SOON);
  assert.equal(ended.stdout, "");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends a process that holds and waits at once`, async (bench) => {
    const running = script(
      bench,
      `globalThis.lease = await client.acquire(name); client.acquire(name); console.log("ready"); await sleep(20_000);`,
    );
    await running.printed("ready");
    const start = performance.now();
    running.kill(signal);
    const ended = await running.ended();
    assert.equal(ended.signal, signal);
    assert.equal(ended.stderr, "");
    assert.ok(performance.now() - start < 500);
  });
}

it("an operation that no server answers keeps the process alive no longer than its time-out", async (t) => {
  const listener = await CountingListener.start();
  t.after(() => listener.stop());
  const source = `
    import { Client } from "leaselock";
    const client = new Client(process.argv[1], { commandTimeout: 300 });
    await client.acquire("name", { wait: 0 }).catch((error) => console.log(error.code));
  `;
  const ended = await new Script(source, [listener.url]).ended();
  endedWell(ended, SOON);
  assert.equal(ended.stdout, "STORE_UNAVAILABLE\n");
});

test("field bug 10: after a suspend longer than the TTL the first look says lost", async (bench) => {
  const running = script(
    bench,
    `
    const lease = globalThis.lease = await client.acquire(name, { ttl: 500 });
    lease.signal.addEventListener("abort", () => {
      console.log("aborted", lease.signal.reason.code);
      setTimeout(() => process.exit(0), 50);
    });
    setTimeout(() => console.log("ready", lease.held), 50);
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      if (now - last > 400) console.log("resumed", lease.held);
      last = now;
    }, 5);
    `,
  );
  await running.printed("ready true");
  running.kill("SIGSTOP");
  await sleep(900);
  running.kill("SIGCONT");
  const ended = await running.ended(5_000);
  assert.match(ended.stdout, /resumed false/);
  assert.match(ended.stdout, /aborted LEASE_LOST/);
  assert.equal(ended.code, 0);
});

test("a holder that is killed loses the name when its lease ends, and a waiter gets it", async (bench) => {
  const holder = script(
    bench,
    `globalThis.lease = await client.acquire(name, { ttl: 1_000 }); console.log("held"); await sleep(60_000);`,
  );
  await holder.printed("held");
  const acquiring = bench.client().acquire(bench.name, { wait: 10_000 });
  await sleep(200);
  holder.kill("SIGKILL");
  const start = performance.now();
  await acquiring;
  assert.ok(performance.now() - start < 1_500);
  assert.equal((await holder.ended()).signal, "SIGKILL");
});
