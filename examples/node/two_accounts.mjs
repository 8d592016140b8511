// Moves money between two accounts, each of which may be changed by one at a time: both locks, or none.

import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const client = new Client();
const balances = new Map([
  ["account:4", 100],
  ["account:7", 100],
]);

async function move(payer, payee, amount) {
  // Whoever moves money the other way names them the other way round; they are taken in the same order all the same.
  await client.usingAll([payer, payee], { ttl: 10_000, wait: 30_000 }, async (both) => {
    const before = new Map(balances);
    await sleep(10, undefined, { signal: both.signal }); // a database takes its time
    both.check(); // throws a LeaseLostError if one of the locks was lost
    balances.set(payer, before.get(payer) - amount);
    balances.set(payee, before.get(payee) + amount);
  });
}

const moves = [
  ["account:4", "account:7", 30],
  ["account:7", "account:4", 30],
  ["account:4", "account:7", 5],
];
await Promise.all([...moves, ...moves, ...moves].map((one) => move(...one)));
console.log(balances);
await client.close();
