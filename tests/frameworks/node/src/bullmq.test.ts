// leaselock/bullmq: real workers in several processes, on a real queue.

import assert from "node:assert/strict";
import { after, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Job, Queue, Worker } from "bullmq";
import { Client, InvalidArgumentError } from "leaselock";
import { exclusive, type Skipped } from "leaselock/bullmq";
import { REDIS_URL, redis, runs } from "./beats.js";
import { type Child, eventually, start, unique, version } from "./children.js";

const TESTED = version("bullmq");
const { hostname: host, port } = new URL(REDIS_URL);
const connection = { host, port: Number(port) };
after(() => redis.quit());

/** A queue, with a client of the same app id beside it. */
function bench(t: TestContext, name = unique()) {
  const queue = new Queue(name, { connection });
  const client = new Client(REDIS_URL, { appId: name });
  t.after(async () => {
    await queue.close();
    await client.close();
  });
  const add = (lock: string, work: number, attempts = 1) => queue.add("job", { lock, work }, { attempts });
  const states = async (...jobs: Job[]) => await Promise.all(jobs.map((job) => queue.getJobState(job.id as string)));
  const all = async (state: string, ...jobs: Job[]) =>
    await eventually(`all are ${state}`, async () => (await states(...jobs)).every((found) => found === state));
  const again = async (job: Job) => (await queue.getJob(job.id as string)) as Job;
  return { KEY: name, queue, client, add, states, all, again };
}

async function ready(t: TestContext, KEY: string, options: object): Promise<Child> {
  const child = start(t, "bullmq-worker.js", { KEY, OPTIONS: JSON.stringify(options) });
  await eventually("it is ready", () => child.output().includes("ready") || child.process.exitCode !== null);
  assert.equal(child.output(), "ready\n");
  return child;
}

async function told(child: Child): Promise<void> {
  child.process.kill("SIGTERM");
  assert.deepEqual([await child.ended, child.output()], [{ code: 0, signal: null }, "ready\n"]);
}

/** A worker in this process. */
function working(
  t: TestContext,
  queue: Queue,
  ...[client, name, processor, options]: Parameters<typeof exclusive>
): Worker {
  const worker = new Worker(queue.name, exclusive(client, name, processor, options), {
    connection,
    concurrency: 4,
    drainDelay: 1,
  });
  t.after(() => worker.close());
  return worker;
}

for (const options of [
  { onBusy: "delay", delay: 50 },
  { onBusy: "wait", wait: 20_000 },
]) {
  it(`${TESTED}: two processes that ${options.onBusy} never do two jobs of one lock at once`, async (t) => {
    const { KEY, add, all, again } = bench(t);
    const children = await Promise.all([ready(t, KEY, options), ready(t, KEY, options)]);
    const jobs = await Promise.all(Array.from({ length: 12 }, (_, i) => add(`lock-${i % 2}`, 60)));
    await all("completed", ...jobs);
    for (const lock of ["lock-0", "lock-1"]) {
      const done = await runs(`${KEY}:${lock}`);
      assert.equal(done.length, 6);
      assert.ok(done.every(({ ended }) => ended));
    }
    const tokens = await Promise.all(jobs.map(async (job) => (await again(job)).returnvalue));
    assert.equal(new Set(tokens).size, 12);
    await Promise.all(children.map(told));
  });
}

it(`${TESTED}: a job that is delayed comes again, and has lost no attempt`, async (t) => {
  const { queue, client, add, all, again, states } = bench(t);
  const lease = await client.acquire("lock");
  let tries = 0;
  working(
    t,
    queue,
    client,
    () => {
      tries += 1;
      return "lock";
    },
    async () => "done",
    { delay: 50 },
  );
  const job = await add("lock", 0);
  await eventually("it was tried three times", () => tries >= 3);
  assert.notEqual((await states(job))[0], "failed");
  assert.equal((await again(job)).attemptsMade, 0);
  await lease.release();
  await all("completed", job);
  assert.equal((await again(job)).returnvalue, "done");
});

it(`${TESTED}: a job that is skipped is completed, and says so`, async (t) => {
  const { queue, client, add, all, again } = bench(t);
  const lease = await client.acquire("lock");
  working(t, queue, client, "lock", async () => "done", { onBusy: "skip" });
  const skipped = await add("lock", 0);
  await all("completed", skipped);
  const expected: Skipped = { skipped: "lock" };
  assert.deepEqual((await again(skipped)).returnvalue, expected);
  await lease.release();
  const done = await add("lock", 0);
  await all("completed", done);
  assert.equal((await again(done)).returnvalue, "done");
});

it(`${TESTED}: a job whose wait ran out fails`, async (t) => {
  const { queue, client, add, all, again } = bench(t);
  const held = await client.acquire("lock");
  working(t, queue, client, "lock", async () => "done", { onBusy: "wait", wait: 50 });
  const job = await add("lock", 0);
  await all("failed", job);
  // Nobody refers to it otherwise, and one that is collected is given back.
  assert.ok(held.held);
  assert.match((await again(job)).failedReason, /lock/);
  assert.equal((await again(job)).attemptsMade, 1);
});

it(`${TESTED}: a lost lease aborts the signal and fails the job, which is tried again`, async (t) => {
  const { queue, client, add, all, again } = bench(t);
  const seen: unknown[] = [];
  const processor = async (_job: Job, _token: string | undefined, signal: AbortSignal) => {
    if (seen.length === 2) {
      return "done";
    }
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    seen.push(signal.reason.code);
    if (seen.length === 1) {
      signal.throwIfAborted();
    }
    return "too late";
  };
  working(t, queue, client, "lock", processor, { ttl: 600, delay: 50 });
  const job = await add("lock", 0, 3);
  for (let i = 1; i <= 2; i++) {
    await eventually("it runs", () => client.stats().held === 1);
    await client.forceRelease("lock");
    await eventually("it knows", () => seen.length === i);
  }
  await all("completed", job);
  assert.deepEqual(seen, ["LEASE_LOST", "LEASE_LOST"]);
  const done = await again(job);
  assert.equal(done.returnvalue, "done");
  assert.ok(done.attemptsMade >= 2, `${done.attemptsMade}`);
});

it(`${TESTED}: a worker that is killed is followed by another after the TTL`, async (t) => {
  const { KEY, add, all } = bench(t);
  const key = `${KEY}:lock`;
  const options = { ttl: 1_500, delay: 50 };
  const victim = await ready(t, KEY, options);
  const job = await add("lock", 3_000);
  await eventually("it works", () => redis.llen(key));
  await ready(t, KEY, options);
  await sleep(500);
  victim.process.kill("SIGKILL");
  await all("completed", job);
  const [first, second] = await runs(key);
  assert.deepEqual([first?.pid, first?.ended, second?.ended], [victim.process.pid, false, true]);
  const pause = (second?.first ?? 0) - (first?.last ?? 0);
  // Renewed at a third of the TTL: at least two thirds of it were left.
  assert.ok(pause > 900 && pause < 10_000, `after ${pause} ms`);
});

it(`${TESTED}: worker.close() lets a job end under its lease`, async (t) => {
  const { KEY, client, add, states } = bench(t);
  const key = `${KEY}:lock`;
  const child = await ready(t, KEY, {});
  const job = await add("lock", 1_000);
  await eventually("it works", () => redis.llen(key));
  const closing = told(child);
  await sleep(300);
  assert.equal(await client.tryAcquire("lock"), null);
  await closing;
  assert.deepEqual(await states(job), ["completed"]);
  assert.equal((await runs(key))[0]?.ended, true);
  assert.ok(await client.tryAcquire("lock"));
});

// The oldest release cancels no jobs.
if ("cancelJob" in Worker.prototype) {
  it(`${TESTED}: BullMQ's own cancelling aborts the signal too, also of a job that waits`, async (t) => {
    const { queue, client, add, all, again } = bench(t);
    let running = 0;
    const processor = async (_job: Job, _token: string | undefined, signal: AbortSignal) => {
      running += 1;
      await sleep(60_000, undefined, { signal });
    };
    const worker = working(t, queue, client, "lock", processor, { onBusy: "wait" }) as Worker & {
      cancelJob(id: string, reason?: string): boolean;
    };
    const first = await add("lock", 0);
    await eventually("it runs", () => running);
    const second = await add("lock", 0);
    await eventually("it waits", () => client.stats().waiting === 1);
    for (const job of [second, first]) {
      assert.equal(worker.cancelJob(job.id as string, "no more"), true);
      await all("failed", job);
      assert.match((await again(job)).failedReason, /abort|no more/i);
    }
    assert.equal(running, 1);
    assert.equal(client.stats().waiting, 0);
  });
}

it(`${TESTED}: what contradicts itself is refused when the processor is made`, async () => {
  await using client = new Client(REDIS_URL);
  const make = (options: object) => exclusive(client, "lock", async () => 1, options);
  assert.throws(() => make({ onBusy: "throw" }), InvalidArgumentError);
  assert.throws(() => make({ onBusy: "skip", delay: 1 }), InvalidArgumentError);
  assert.throws(() => make({ wait: 1 }), InvalidArgumentError);
  assert.throws(() => make({ delay: -1 }), InvalidArgumentError);
  assert.throws(() => make({ delays: 1 }), TypeError);
  assert.throws(() => exclusive(client, "lock", 7 as never), TypeError);
  assert.equal(make({}).length, 3, "BullMQ hands its signal to functions of three parameters");
});

it(`${TESTED}: the example of the page books, and ends at SIGTERM`, async (t) => {
  const queue = new Queue("bookings", { connection });
  t.after(async () => {
    await queue.obliterate({ force: true });
    await queue.close();
  });
  const child = start(t, "bullmq.mjs", { REDIS_URL });
  for (const amount of [1, 2, 3]) {
    await queue.add("booking", { account: 7, amount });
  }
  const booked = () => child.output().match(/^account 7: booked \d under token \d+$/gm)?.length ?? 0;
  await eventually("all are booked", () => booked() === 3);
  child.process.kill("SIGTERM");
  assert.deepEqual(await child.ended, { code: 0, signal: null });
  assert.equal(child.output().trim().split("\n").length, 3);
});
