// Prints what leaselock reports as JSON, a line for each event, with its fields.

import { subscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

subscribe("leaselock", (event) => {
  console.log(JSON.stringify({ logger: "leaselock", ...event }));
});

const client = new Client("memory:logs", { appId: "shop" });
const lease = await client.acquire("nightly-report", { ttl: 200, renew: false });
await sleep(500); // work that takes longer than the lease
console.log(lease.state);
await client.close();
