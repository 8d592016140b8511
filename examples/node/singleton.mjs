// A job that runs in one place only, however many copies are started; the others stand by.
// Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
import { setTimeout as sleep } from "node:timers/promises";
import { Client, LeaseLostError } from "leaselock";

const me = process.pid;
const client = new Client();
const ending = new AbortController();
process.once("SIGINT", () => ending.abort());

/** The job itself: here it runs until its signal says stop. */
async function lead(signal) {
  while (!signal.aborted) await sleep(200, undefined, { signal }).catch(() => {});
}

while (!ending.signal.aborted) {
  console.log(`${me} stands by`);
  try {
    await client.using("scheduler", { ttl: 3_000, label: `scheduler-${me}`, signal: ending.signal }, async (lease) => {
      console.log(`${me} leads, token ${lease.token}`);
      await lead(AbortSignal.any([lease.signal, ending.signal]));
    });
  } catch (error) {
    if (error instanceof LeaseLostError) console.log(`${me} no longer leads: ${error.reason}`);
    else if (!ending.signal.aborted) throw error;
  }
}
await client.close(); // the lock is given back: the next one need not wait for the lease to end
console.log(`${me} ends`);
