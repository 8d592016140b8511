// A worker of the demo, in Node: takes the lock, writes to the resource with its token, gives the lock back.
import { setTimeout as sleep } from "node:timers/promises";
import { Client, LeaselockError } from "leaselock";

const [me, lock, ttl, resource] = process.argv.slice(2);

/** Sends one request to the resource; a refusal (412) throws. */
async function tell(what, token) {
  const reply = await fetch(`${resource}/${what}`, { method: "POST", body: JSON.stringify({ worker: me, token }) });
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply.json();
}

/** Takes turns until told to stop. */
async function work(client) {
  let order = "work";
  while (order !== "stop") {
    await client.using(lock, { ttl: Number(ttl) * 1000, label: me }, async (lease) => {
      ({ order } = await tell("enter", lease.token));
      await sleep(250); // the work
      await tell("write", lease.token);
      await tell("leave", lease.token);
    });
  }
}

const client = new Client(); // the store is in LEASELOCK_URL
try {
  await work(client);
} catch (error) {
  if (!(error instanceof LeaselockError)) throw error;
  console.error(`${me}: ${error.name}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
