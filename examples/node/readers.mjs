// Readers of a cache beside one another, and a refresher that is alone with it.

import { Client } from "leaselock";

const client = new Client(); // the store is in LEASELOCK_URL
let inside = 0;
let allAreHere;
const together = new Promise((resolve) => {
  allAreHere = resolve;
});

async function read() {
  await client.using("cache", { ttl: 30_000, shared: true }, async () => {
    inside += 1;
    if (inside === 3) {
      allAreHere();
    }
    await together; // goes on when three are in here
  });
}

await Promise.all([read(), read(), read()]);
console.log("three readers were inside at once");

await client.using("cache", { ttl: 30_000 }, async () => {
  const reader = await client.tryAcquire("cache", { shared: true });
  console.log(reader ? "a reader came in" : "the refresher is alone");
});
await client.close();
