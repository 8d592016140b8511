// Counts what happens to locks, for Prometheus. The port is the argument.

import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";
import { instrument } from "leaselock/prometheus";
import { register } from "prom-client";

instrument(); // once in a thread, for all of its clients
createServer(async (_, response) => {
  response.setHeader("Content-Type", register.contentType);
  response.end(await register.metrics());
}).listen(Number(process.argv[2]), "127.0.0.1");

const client = new Client("memory:shop", { appId: "shop" });
for (;;) {
  await client.using("order:42", { ttl: 30_000 }, () => sleep(100));
}
