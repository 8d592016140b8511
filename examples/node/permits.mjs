// At most five calls at a time to a service, however many workers there are on however many machines.

import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const client = new Client(); // the store is in LEASELOCK_URL
let calling = 0;
let most = 0;

async function call() {
  await client.using("geocoder", { ttl: 30_000, permits: 5 }, async () => {
    calling += 1;
    most = Math.max(most, calling);
    await sleep(200); // the call
    calling -= 1;
  });
}

await Promise.all(Array.from({ length: 12 }, call));
console.log(`twelve calls, never more than ${most} at a time`);
await client.close();
