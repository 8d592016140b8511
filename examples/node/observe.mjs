// Prints all that happens to the locks of this thread.

import { Client, observe } from "leaselock";

observe((event) => {
  console.log(event.kind, event.name);
});

const client = new Client("memory:shop", { appId: "shop" });
await client.using("order:42", { ttl: 30_000 }, () => client.tryAcquire("order:42"));
await client.close();
