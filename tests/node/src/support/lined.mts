// Clients whose line is open, behind a relay.

import type { Client } from "leaselock";
import type { Bench } from "./bench.mjs";
import { Relay, type Relayed } from "./network.mjs";
import { eventually } from "./servers.mjs";

/** A client behind a relay, with its line. */
export interface Lined {
  relay: Relay;
  client: Client;
  line: Relayed;
  /** Its other connection, by which grants come and claims go. */
  shared: Relayed;
}

/** Connects a client through a relay of its own, and uses it until it has a line. */
export async function lined(bench: Bench, commandTimeout = 5_000): Promise<Lined> {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const client = bench.client({ commandTimeout }, relay.url);
  const line = await openLine(client, relay);
  const shared = relay.connections.find((connection) => connection !== line);
  if (!shared) {
    throw new Error("the client has no connection beside its line");
  }
  return { relay, client, line, shared };
}

/** Uses a client until one more connection is there, and in use. */
export async function openLine(client: Client, relay: Relay): Promise<Relayed> {
  const use = async () => (await client.acquire("warm")).release();
  await use();
  const before = relay.connections;
  return await eventually("the line is open", async () => {
    await use();
    return relay.connections.find((connection) => connection.sent > 0 && !before.includes(connection));
  });
}
