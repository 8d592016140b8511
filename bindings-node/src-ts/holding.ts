// Work under a lease that was taken by other means than `client.using`, with the same end; for the subpaths of frameworks.

import { abandonScope, type Lease, leaveScope } from "./lease.js";

/** Runs `body` and gives the lease back as `client.using` does. */
export async function hold<T>(lease: Lease, body: () => T | PromiseLike<T>): Promise<T> {
  let value: T;
  try {
    value = await body();
  } catch (error) {
    await abandonScope(lease);
    throw error;
  }
  await leaveScope(lease);
  return value;
}
