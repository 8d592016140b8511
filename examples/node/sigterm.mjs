// A worker that can be deployed at any moment: told to end, it gives its lock back and ends.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const client = new Client();
const ending = new AbortController();
process.once("SIGTERM", () => ending.abort());

while (!ending.signal.aborted) {
  try {
    await client.using(
      "worker",
      { ttl: 30_000, label: `worker-${process.pid}`, signal: ending.signal },
      async (lease) => {
        console.log(`works, token ${lease.token}`);
        await sleep(5_000, undefined, { signal: AbortSignal.any([lease.signal, ending.signal]) }); // the job itself
      },
    );
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  }
}
await client.close();
