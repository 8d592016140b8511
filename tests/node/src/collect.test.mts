// Garbage collection: a lease that nobody refers to is given back, with a warning; one in use is not.

import assert from "node:assert/strict";
import { type Bench, test } from "./support/bench.mjs";
import { PRELUDE, Script } from "./support/subprocess.mjs";

async function run(bench: Bench, body: string): Promise<{ stdout: string; stderr: string }> {
  const collect = `
    const collect = async () => { for (let i = 0; i < 10; i++) { globalThis.gc(); await sleep(20); } };
    const free = async (name) => (await client.inspect(name)) === null;
  `;
  const script = new Script(PRELUDE + collect + body, [bench.server.url, bench.app, bench.name], ["--expose-gc"]);
  const ended = await script.ended();
  assert.equal(ended.code, 0, ended.stderr);
  return ended;
}

test("a lease collected unreleased is given back, with a process warning", async (bench) => {
  const { stdout, stderr } = await run(
    bench,
    `
    const events = (await import("node:diagnostics_channel")).channel("leaselock");
    events.subscribe((event) => console.log(event.event, event.name === name));
    await (async () => { await client.acquire(name); })();
    await collect();
    console.log(await free(name));
    `,
  );
  assert.equal(stdout, "collected true\ntrue\n");
  assert.match(stderr, /\[LEASELOCK_COLLECTED\] LeaselockWarning: .*garbage-collected/);
  assert.ok(stderr.includes(bench.name));
});

test("leases that were released, detached or lost are collected in silence", async (bench) => {
  const { stdout, stderr } = await run(
    bench,
    `
    await (async () => {
      await (await client.acquire(name)).release();
      await client.using(name, (lease) => lease.signal.aborted);
      (await client.acquire(name + "-detached")).detach();
      const lost = await client.acquire(name + "-lost", { ttl: 100, renew: false });
      lost.signal;
      await sleep(150);
    })();
    await collect();
    console.log(await free(name + "-detached"));
    `,
  );
  assert.equal(stdout, "false\n");
  assert.equal(stderr, "");
});

test("a lease is in use as long as its signal is, or its body runs", async (bench) => {
  const { stdout, stderr } = await run(
    bench,
    `
    const signal = await (async () => (await client.acquire(name)).signal)();
    await client.using(name + "-2", async () => { await collect(); console.log(await free(name + "-2")); });
    console.log(await free(name), signal.aborted);
    await client.forceRelease(name);
    await client.close();
    console.log(signal.aborted);
    `,
  );
  assert.equal(stdout, "false\nfalse false\nfalse\n");
  assert.equal(stderr, "");
});

test("a client that nobody refers to keeps working for its leases and pending calls", async (bench) => {
  const { stdout, stderr } = await run(
    bench,
    `
    const { lease, waiting } = await (async () => {
      const other = new Client(url, { appId });
      const lease = await other.acquire(name, { ttl: 400 });
      return { lease, waiting: other.acquire(name).then((next) => next.release()) };
    })();
    await collect();
    await sleep(600);
    console.log(lease.held, await lease.release(), await waiting);
    `,
  );
  assert.equal(stdout, "true true true\n");
  assert.equal(stderr, "");
});

test("a result that nobody waits for any more is given back too", async (bench) => {
  const { stdout } = await run(
    bench,
    `
    client.acquire(name);
    await sleep(100);
    await collect();
    console.log(await free(name));
    `,
  );
  assert.equal(stdout, "true\n");
});
