// Bun and Deno: everything works by the thread-safe function alone, since neither has libuv's event loop.

import assert from "node:assert/strict";
import { join } from "node:path";
import { Bench, unique } from "./support/bench.mjs";
import { run } from "./support/package.mjs";
import { servers } from "./support/servers.mjs";
import { project, test, tool } from "./support/toolchains.mjs";

/** The programs themselves, as their packages for this platform hold them. */
const libc = process.platform === "linux" ? "-glibc" : "";
const RUNTIMES: Record<string, [program: string, ...args: string[]]> = {
  bun: [tool("@oven", `bun-${process.platform}-${process.arch}`, "bin", "bun"), "run"],
  deno: [tool("@deno", `${process.platform}-${process.arch}${libc}`, "deno"), "run", "--allow-all"],
};

/** Says what it does, line by line. */
const QUICKSTART = `
import { Client, LeaseLostError, LockTimeoutError } from "leaselock";
const [url, appId, name] = process.argv.slice(2);
const client = new Client(url, { appId });
// Neither runtime waits for a lease to be lost.
const alive = setInterval(() => {}, 1_000);

for (let i = 0; i < 50; i++) await client.using(name, (lease) => lease.check());
console.log("acquired", client.stats().acquired);

const lease = await client.acquire(name, { ttl: 20_000 });
const order = [];
const contenders = [1, 2].map((n) => client.using(name, { wait: 20_000 }, () => { order.push(n); }));
while ((await client.inspect(name)).waiters < 2) await new Promise((resolve) => setTimeout(resolve, 10));
console.log("waiting", client.stats().waiting);
await lease.release();
await Promise.all(contenders);
console.log("order", order.join());

await client.using(name, async () => {
  const error = await client.acquire(name, { wait: 20 }).catch((error) => error);
  console.log(error.name, error instanceof LockTimeoutError, error.code);
  console.log(await client.acquire(name, { signal: AbortSignal.timeout(20) }).catch((error) => error.name));
});

const short = await client.acquire(name, { ttl: 500 });
const lost = new Promise((resolve) => short.signal.addEventListener("abort", () => resolve(short.signal.reason)));
await client.forceRelease(name);
const reason = await lost;
console.log("lost", reason instanceof LeaseLostError, short.held);

await client.close();
clearInterval(alive);
console.log("closed", await client.acquire(name).catch((error) => error.code));
`;
const SAID = [
  "acquired 50",
  "waiting 2",
  "order 1,2",
  "LockTimeoutError true LOCK_TIMEOUT",
  "TimeoutError",
  "lost true false",
  "closed CLIENT_CLOSED",
  "",
].join("\n");

/** Ends with a lease held: by itself, or by `process.exit`. */
const ENDS = `
import { Client } from "leaselock";
const [url, appId, name, how] = process.argv.slice(2);
globalThis.lease = await new Client(url, { appId }).acquire(name, { ttl: 30_000 });
console.log(lease.held);
if (how === "exit") process.exit(0);
`;

for (const [runtime, [program, ...args]] of Object.entries(RUNTIMES)) {
  test(`field bug 65: ${runtime} runs the quickstart, waits, hears of a loss, closes and ends by itself`, async (t) => {
    const folder = await project({ "quick.mjs": QUICKSTART, "ends.mjs": ENDS });
    for (const server of servers) {
      const bench = new Bench(t, server);
      const to = [server.url, bench.app, bench.name];
      assert.equal(await run(program, [...args, "quick.mjs", ...to], folder), SAID);
      for (const how of ["natural", "exit"]) {
        assert.equal(await run(program, [...args, "ends.mjs", ...to, how], folder), "true\n");
        assert.equal(await bench.redis.exists(bench.key), 0, `what it held at its ${how} end is given back`);
      }
      await bench.end();
    }
    for (const url of [`file:${join(folder, "locks.db")}`, `memory:${unique()}`]) {
      assert.equal(await run(program, [...args, "quick.mjs", url, "app", "name"], folder), SAID, url);
    }
  });
}
