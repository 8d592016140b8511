// Quickstart: `await using`, with TypeScript 5.2 or newer, or Node 24 or newer.
import { Client } from "leaselock";

await using client = new Client(); // the store is in LEASELOCK_URL
{
  await using lease = await client.acquire("nightly-report", { ttl: 30_000, wait: 10_000 });
  console.log(`writing the report under token ${lease.token}`);
} // given back here
