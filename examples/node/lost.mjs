// What to do when a lease is lost: stop, write nothing more, and leave the rest to whoever has the lock now.
import { setTimeout as sleep } from "node:timers/promises";
import { Client, LeaseLostError } from "leaselock";

const client = new Client();
try {
  await client.using("nightly-report", { ttl: 1_000, wait: 10_000 }, async (lease) => {
    console.log("works");
    await client.forceRelease("nightly-report"); // as a colleague may do by hand; a cut network ends a lease as well
    await sleep(50_000, undefined, { signal: lease.signal }); // the job: whatever takes a signal ends with the lease
  });
} catch (error) {
  // What a signal ends rejects with an error of its own, whose cause is the signal's reason.
  const lost = [error, error.cause].find((e) => e instanceof LeaseLostError);
  if (!lost) throw error;
  console.log(`stopped: the lease was lost, ${lost.reason}`);
}
await client.close();
