// A worker of BullMQ: `bullmq-worker.js`, on the queue KEY, with the options of `exclusive` as JSON in OPTIONS.

import { Worker } from "bullmq";
import { Client } from "leaselock";
import { exclusive } from "leaselock/bullmq";
import { REDIS_URL, redis, work } from "./beats.js";

const KEY = process.env["KEY"] as string;
const { hostname: host, port } = new URL(REDIS_URL);
const client = new Client(REDIS_URL, { appId: KEY });
const processor = exclusive(
  client,
  (job) => job.data.lock,
  async (job, _token, signal, lease) => {
    await work(`${KEY}:${job.data.lock}`, job.data.work, signal);
    return lease.token;
  },
  JSON.parse(process.env["OPTIONS"] ?? "{}"),
);
// What has stalled is noticed sooner than by default.
const worker = new Worker(KEY, processor, {
  connection: { host, port: Number(port) },
  concurrency: 4,
  drainDelay: 1,
  lockDuration: 1_000,
  stalledInterval: 500,
});

process.once("SIGTERM", async () => {
  await worker.close();
  await client.close();
  await redis.quit();
});
void worker.waitUntilReady().then(() => console.log("ready"));
