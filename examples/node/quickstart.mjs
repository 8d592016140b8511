// Quickstart: one job at a time, from Node.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const client = new Client(); // the store is in LEASELOCK_URL; or new Client("redis://…")

// Waits up to ten seconds for its turn; renewed in the background from then on.
await client.using("nightly-report", { ttl: 30_000, wait: 10_000 }, async (lease) => {
  console.log(`writing the report under token ${lease.token}`);
  await sleep(100, null, { signal: lease.signal }); // the work, aborted at once if the lease is lost
});

// Takes it only if it is free.
const lease = await client.tryAcquire("nightly-report");
if (lease) {
  console.log(`it was free, token ${lease.token}`);
  await lease.release();
}
await client.close();
