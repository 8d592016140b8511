// Work under a lease that was taken by other means than `client.using`, with the same end; for the subpaths of frameworks.

import { abandonScope, type Lease, leaveScope } from "./lease.js";
import { warn } from "./warnings.js";

/** Milliseconds: no lease may be shorter. */
const SHORTEST_TTL = 100;

/**
 * Runs `body` and gives the lease back as `client.using` does, but not within the first `atLeast` milliseconds: the name is
 * left to its TTL then, whichever way the body ended.
 */
export async function hold<T>(lease: Lease, atLeast: number, body: () => T | PromiseLike<T>): Promise<T> {
  const until = performance.now() + atLeast;
  let value: T;
  try {
    value = await body();
  } catch (error) {
    await keep(lease, until - performance.now());
    await abandonScope(lease);
    throw error;
  }
  await keep(lease, until - performance.now());
  await leaveScope(lease);
  return value;
}

async function keep(lease: Lease, rest: number): Promise<void> {
  if (rest <= 0 || !lease.held) {
    return;
  }
  try {
    await lease.extend(Math.max(rest, SHORTEST_TTL));
  } catch (error) {
    if (!lease.held) {
      return;
    }
    const name = JSON.stringify(lease.name);
    warn(
      `the lease on ${name} was to last ${Math.ceil(rest)} ms more, and ends within ${lease.ttl} ms: ${error}`,
      NOT_KEPT,
    );
  }
  lease.detach();
}

const NOT_KEPT = "LEASELOCK_NOT_EXTENDED";
