// Doing something at a given moment, also at one that no timer hits.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lease } from "leaselock";

/** Keeps the event loop from turning; the library's own thread goes on meanwhile. */
export function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    // Busy.
  }
}

/** Waits, blocking for what is too short for a timer. */
export async function pause(ms: number): Promise<void> {
  if (ms > 2) {
    await sleep(ms);
  } else {
    block(ms);
  }
}

/** Aborts an acquire when `moment` has come; a lease that came first is given back. */
export async function abortedAt(
  moment: () => unknown,
  acquire: (signal: AbortSignal) => Promise<Lease>,
): Promise<void> {
  const controller = new AbortController();
  const acquiring = acquire(controller.signal);
  await moment();
  controller.abort();
  const [end] = await Promise.allSettled([acquiring]);
  if (end.status === "fulfilled") {
    await end.value.release();
  } else {
    assert.equal(end.reason, controller.signal.reason);
  }
}
