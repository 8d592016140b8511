// A job that runs in one place only, however many copies are started; the others stand by.
// Start it twice: one leads. End that one (Ctrl-C), or kill it: the other takes over.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const me = process.pid;
const client = new Client();
const ending = new AbortController();
process.once("SIGINT", () => ending.abort());

/** The job itself: here it runs until its signal says stop, which it does when the lease is lost. */
async function work({ token, signal }) {
  console.log(`${me} leads, token ${token}`);
  for (;;) await sleep(1_000, undefined, { signal });
}

console.log(`${me} stands by`);
try {
  await client.lead("scheduler", { ttl: 3_000, label: `scheduler-${me}`, signal: ending.signal }, work);
} catch (error) {
  if (!ending.signal.aborted) throw error;
}
await client.close(); // the name was given back: the next one need not wait for the lease to end
console.log(`${me} ends`);
