// A method that calls another one under the same lock.

import { Client } from "leaselock";

const client = new Client();

const account = {
  balance: 0,
  async add(amount) {
    await client.using("account:7", { reentrant: true }, async () => {
      this.balance += amount;
    });
  },
  async addWithInterest(amount) {
    await client.using("account:7", { reentrant: true }, async () => {
      await this.add(amount); // who is inside enters again, under the same lease
      await this.add(amount / 10);
    });
  },
};

await account.addWithInterest(100);
console.log("balance", account.balance, "after", client.stats().acquired, "lease");

// All that the callback starts is inside, also at the same time: these two are not kept apart.
await client.using("account:7", { reentrant: true }, () => Promise.all([account.add(1), account.add(2)]));
console.log("balance", account.balance, "after", client.stats().acquired, "leases");
await client.close();
