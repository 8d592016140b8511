// BullMQ: bookings of one account are done one at a time, in whatever worker; those of other accounts go on beside them.
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "bullmq";
import { Client } from "leaselock";
import { exclusive } from "leaselock/bullmq";

const client = new Client(process.env.REDIS_URL, { appId: "bank" });
const { hostname: host, port } = new URL(process.env.REDIS_URL);

const processor = exclusive(
  client,
  (job) => `account-${job.data.account}`,
  async (job, _token, signal, lease) => {
    await sleep(100, undefined, { signal }); // the work, aborted at once if the lease is lost
    return `booked ${job.data.amount} under token ${lease.token}`;
  },
  { onBusy: "delay", delay: 500 }, // taken? the job comes again in half a second, and has lost no attempt
);
const worker = new Worker("bookings", processor, { connection: { host, port: Number(port) }, concurrency: 10 });
worker.on("completed", (job, result) => console.log(`account ${job.data.account}: ${result}`));

process.once("SIGTERM", async () => {
  await worker.close(); // jobs end under their locks
  await client.close();
});
