// The end of a process: what it holds and waits for is given back at once, on every way out but a signal.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, test } from "./support/bench.mjs";
import { Relay } from "./support/network.mjs";
import { OwnServer, servers } from "./support/servers.mjs";
import { type Ended, PRELUDE, Script } from "./support/subprocess.mjs";

const entry = createRequire(import.meta.url).resolve("leaselock");
/** Ends of each kind on each of two servers: a hundred in all, or a few. */
const ENDS = process.env["FULL"] ? 50 : 4;
const AT_ONCE = 4;
/** How long a name may stay taken after the end, in milliseconds. */
const TAKEN = 1_000;

/** Holds `name`, and waits for `busy`. */
const HOLDING = `
  const [busy] = process.argv.slice(4);
  globalThis.lease = await client.acquire(name, { ttl: 30_000 });
  for (let i = 0; i < 3; i++) await client.using(name + "-other", () => {});
`;
const WAITING = `
  const waiting = client.acquire(busy, { ttl: 30_000 });
  while (!((await client.inspect(busy))?.waiters > 0)) await sleep(5);
`;
/** The same in a worker, which then says so. */
const WORKER = `
  import { Worker } from "node:worker_threads";
  import { once } from "node:events";
  const [busy] = process.argv.slice(4);
  const worker = (after) => new Worker(\`
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    (async () => {
      const { url, appId, name, busy } = workerData;
      const client = new Client(url, { appId });
      globalThis.lease = await client.acquire(name, { ttl: 30_000 });
      client.acquire(busy).catch(() => {});
      while (!((await client.inspect(busy))?.waiters > 0)) await new Promise((resolve) => setTimeout(resolve, 5));
      parentPort.postMessage("holds");
      \${after}
    })();
  \`, { eval: true, execArgv: [], workerData: { entry: process.argv[5], url, appId, name, busy } });
`;

const KINDS: Record<string, [source: string, code: number]> = {
  "process.exit": [`${HOLDING}${WAITING} process.exit(3);`, 3],
  "process.exit while an acquire is under way": [
    `${HOLDING} client.acquire(name + "-other", { ttl: 30_000 }); setImmediate(() => process.exit(3)); await sleep(5_000);`,
    3,
  ],
  "process.exit while the client closes": [
    `${HOLDING}${WAITING} waiting.catch(() => {}); client.close(); process.exit(3);`,
    3,
  ],
  "process.exit after the client was dropped": [
    `await (async () => { const own = new Client(url, { appId }); await own.acquire(name, { ttl: 30_000 }); })();
     await sleep(1); gc(); setImmediate(() => process.exit(3)); await sleep(5_000);`,
    3,
  ],
  "an uncaught throw": [`${HOLDING}${WAITING} setTimeout(() => { throw new Error("thrown"); }); await waiting;`, 1],
  "an unhandled rejection": [`${HOLDING}${WAITING} Promise.reject(new Error("rejected")); await waiting;`, 1],
  "the natural end": [HOLDING, 0],
  "a worker's process.exit": [`${WORKER} await once(worker("process.exit(3);"), "exit");`, 0],
  "process.exit beside a worker": [
    `${WORKER} await once(worker("for (;;) await client.inspect(name);"), "message"); process.exit(3);`,
    3,
  ],
  "process.exit at once after worker.terminate": [
    `${WORKER} const own = worker(""); await once(own, "message"); await own.terminate(); process.exit(3);`,
    3,
  ],
};

async function endAndLook(bench: Bench, source: string, code: number, name: string): Promise<void> {
  const busy = `${name}-busy`;
  bench.keep(await bench.client().acquire(busy, { ttl: 60_000 }));
  const args = [bench.server.url, bench.app, name, busy, entry];
  const ended = await new Script(PRELUDE + source, args, ["--expose-gc"]).ended();
  const start = performance.now();
  assert.deepEqual([ended.code, ended.signal], [code, null], ended.stderr);
  const client = bench.client();
  for (;;) {
    const taken = [await client.inspect(name), await client.inspect(`${name}-other`)].some((lock) => lock !== null);
    if (!taken && (await client.inspect(busy))?.waiters === 0) {
      return;
    }
    assert.ok(performance.now() - start < TAKEN, `${taken ? "a name stays taken" : "a place in a queue stays"}`);
    await sleep(5);
  }
}

for (const [kind, [source, code]] of Object.entries(KINDS)) {
  test(`field bug 61: ${kind} leaves no name taken`, async (bench) => {
    let next = 0;
    const one = async () => {
      while (next < ENDS) {
        next += 1;
        await endAndLook(bench, source, code, `${bench.name}-${next}`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  });
}

test("field bug 61: exit listeners still hold what they held, and none is added", async (bench) => {
  const source = `
    const events = ["exit", "beforeExit", "SIGTERM", "SIGINT", "uncaughtException", "unhandledRejection"];
    const count = () => events.map((event) => process.listenerCount(event)).join();
    const before = count();
    const { Client } = await import("leaselock");
    const [url, appId, name] = process.argv.slice(1);
    globalThis.lease = await new Client(url, { appId }).acquire(name);
    console.log(count() === before);
    process.on("exit", () => console.log(lease.held, lease.state));
    process.exit(0);
  `;
  const ended = await new Script(source, [bench.server.url, bench.app, bench.name]).ended();
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [0, "true\ntrue held\n", ""]);
  assert.equal(await bench.redis.exists(bench.key), 0);
});

/** From the last line that is printed to the end, in milliseconds. */
async function lasts(script: Script): Promise<[number, Ended]> {
  await script.printed("ends");
  const start = performance.now();
  const ended = await script.ended();
  return [performance.now() - start, ended];
}

it("field bug 61: a silent server keeps a process that holds for a second, and one that does not not at all", async (t) => {
  const server = await OwnServer.start((servers[0] as { binary: string }).binary);
  t.after(() => server.stop());
  const relay = await Relay.start(server.url);
  t.after(() => relay.stop());
  const script = async (body: string) => {
    const running = new Script(
      `${PRELUDE} ${body} 
      process.once("SIGUSR2", () => { console.log("ends"); process.exit(0); });
      console.log("ready");
      await sleep(60_000);`,
      [relay.url, "app", "name"],
    );
    await running.printed("ready");
    for (const connection of relay.connections) {
      connection.holding = "client";
    }
    running.kill("SIGUSR2");
    const [took, ended] = await lasts(running);
    assert.deepEqual([ended.code, ended.stderr], [0, ""]);
    return took;
  };
  const busy = await script("globalThis.lease = await client.acquire(name);");
  assert.ok(busy >= 900 && busy < 3_000, `it took ${busy} ms`);
  const idle = await script("await client.inspect(name);");
  assert.ok(idle < 500, `it took ${idle} ms`);
});
