// The Node contestants: `worker.mjs CONTESTANT URL OPTIONS` obeys one request a line on its standard input, answers in
// lines of JSON, and ends with its input. The Rust worker's `protocol.rs` says what each request is.
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { contestants } from "./contestants.mjs";

const [contestant, url, options] = process.argv.slice(2);
const locker = await contestants[contestant](url, JSON.parse(options));
const served = [];
const kept = [];

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
/** Nanoseconds of CLOCK_MONOTONIC; below 2^53 for the first hundred days after boot. */
const now = () => Number(process.hrtime.bigint());

async function pairs({ seconds, inflight, each = 1 }) {
  const cpu = process.cpuUsage();
  const started = performance.now();
  const end = started + seconds * 1000;
  const one = async (names) => {
    let ops = 0;
    while (performance.now() < end) {
      await locker.release(await locker.acquire(names[ops % each]));
      ops += 1;
    }
    return ops;
  };
  const name = (at) => `bench-${String(at).padStart(2, "0")}`;
  const names = Array.from({ length: inflight }, (_, of) =>
    Array.from({ length: each }, (_, at) => name(of * each + at)),
  );
  const ops = (await Promise.all(names.map(one))).reduce((sum, ops) => sum + ops, 0);
  const used = process.cpuUsage(cpu);
  return { ops, seconds: (performance.now() - started) / 1000, cpu: (used.user + used.system) / 1e6 };
}

async function hold({ name, ms }) {
  const held = await locker.acquire(name);
  answer({ held: true });
  await sleep(ms);
  const released = now();
  await locker.release(held);
  return { released };
}

async function wait({ name }) {
  const held = await locker.acquire(name);
  const acquired = now();
  await locker.release(held);
  return { acquired };
}

async function contend({ name, waiters, turns, at, ms = 0 }) {
  const taken = [];
  const take = async (waiter) => {
    await sleep(Math.max(0, (at - now()) / 1e6));
    for (let turn = 0; turn < turns; turn += 1) {
      const held = await locker.acquire(name);
      const acquired = now();
      if (ms) {
        await sleep(ms);
      }
      await locker.release(held);
      taken.push({ waiter, at: acquired, released: now() });
    }
  };
  await Promise.all(Array.from({ length: waiters }, (_, waiter) => take(waiter)));
  return { turns: taken };
}

async function serve(name, id, ms) {
  const held = await locker.acquire(name);
  const at = now();
  if (ms) {
    await sleep(ms);
  }
  await locker.release(held);
  return { id, token: held.token ?? 0, at };
}

const requests = {
  pairs,
  hold,
  wait,
  contend,
  queue: async ({ name, ids, ms }) => {
    served.push(...ids.map((id) => serve(name, id, ms ?? 0)));
    return { queued: served.length };
  },
  served: async () => ({ served: await Promise.all(served.splice(0)) }),
  fill: async ({ name, count }) => {
    for (let some = 0; some < count; some += 500) {
      const these = Math.min(500, count - some);
      kept.push(...(await Promise.all(Array.from({ length: these }, () => locker.acquire(name)))));
    }
    return { held: count };
  },
  empty: async () => {
    await Promise.all(kept.splice(0).map((held) => locker.release(held)));
    return { held: 0 };
  },
  keep: async ({ name, ttl, renew }) => {
    kept.push(await locker.client.acquire(name, { ttl, renew }));
    return { held: true };
  },
  waiters: async ({ name }) => ({ waiters: (await locker.client.inspect(name))?.waiters ?? 0 }),
};

answer({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  answer(await requests[request.do](request));
}
process.exit(0); // promises may still be pending
