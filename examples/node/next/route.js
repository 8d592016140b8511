// app/carts/[id]/checkout/route.js: one checkout at a time for each cart. Who comes meanwhile gets 423 Locked.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

export const runtime = "nodejs";

/** One client for the process: made at the first request, since a build has no store; kept where `next dev` loads this anew. */
function client() {
  globalThis.leaselock ??= new Client(); // the store is in LEASELOCK_URL
  return globalThis.leaselock;
}

export async function POST(_request, { params }) {
  const { id } = await params;
  const lease = await client().tryAcquire(`cart-${id}`, { ttl: 10_000 });
  if (lease === null) {
    return Response.json({ error: "somebody else is at it" }, { status: 423, headers: { "Retry-After": "1" } });
  }
  try {
    await sleep(500, undefined, { signal: lease.signal }); // the work, aborted at once if the lease is lost
    return Response.json({ cart: id, token: lease.token });
  } finally {
    await lease.release();
  }
}
