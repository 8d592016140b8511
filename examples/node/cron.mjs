// A job that timers start on several machines and that must not overlap with itself: who comes second skips it.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const client = new Client();
// A run that hangs blocks the next ones for ten minutes at most.
const lease = await client.tryAcquire("cleanup", { ttl: 10_000, maxHold: 600_000 });
if (lease === null) {
  console.log("cleanup is running elsewhere, nothing to do");
} else {
  console.log(`cleaning up, token ${lease.token}`);
  await sleep(1_000); // the work
  await lease.release();
}
await client.close();
