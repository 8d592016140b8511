// Leading: work under a name that is waited for, and waited for again when it was lost.

import { onAbort } from "./aborts.js";
import { ClientClosedError, LeaseLostError } from "./errors.js";
import { abandonScope, type Lease, stopScope, wasLost } from "./lease.js";

/** Those who lead by one client. */
export class Leaders {
  readonly #stops = new Set<(reason: unknown) => void>();

  /** Stops the work of all of them: their leases are given back. */
  close(): void {
    for (const stop of this.#stops) {
      stop(new ClientClosedError("the client was closed, and the name is led no more"));
    }
  }

  /**
   * Does `work` under each lease that `take` gets, until it ends under one that it held throughout.
   *
   * `take` rejects when nothing is to be taken any more: the client was closed, or `signal` aborted.
   */
  async lead<T>(
    take: () => Promise<Lease>,
    work: (lease: Lease) => T | PromiseLike<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    let lease: Lease | undefined;
    let stopped = false;
    const stop = (reason: unknown) => {
      stopped = true;
      if (lease) {
        stopScope(lease, reason);
      }
    };
    this.#stops.add(stop);
    const stopListening = signal && onAbort(signal, () => stop(signal.reason));
    try {
      for (;;) {
        lease = await take();
        // It may have been stopped in between; then `take` says so the next time.
        const ended = stopped ? undefined : await workUnder(lease, work);
        await abandonScope(lease);
        if (!ended || stopped || wasLost(lease)) {
          if (ended && "error" in ended && !isOfTheEnd(ended.error, lease)) {
            throw ended.error;
          }
          continue;
        }
        if ("error" in ended) {
          throw ended.error;
        }
        return ended.value;
      }
    } finally {
      stopListening?.();
      this.#stops.delete(stop);
    }
  }
}

/** What the work came to. */
async function workUnder<T>(
  lease: Lease,
  work: (lease: Lease) => T | PromiseLike<T>,
): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await work(lease) };
  } catch (error) {
    return { error };
  }
}

/** Whether the work failed because it was stopped: by what the signal was aborted with, or what others make of that. */
function isOfTheEnd(error: unknown, { signal: { aborted, reason } }: Lease): boolean {
  if (error instanceof LeaseLostError) {
    return true;
  }
  if (!aborted || typeof error !== "object" || error === null) {
    return aborted && error === reason;
  }
  const { name, cause } = error as Partial<Error>;
  return error === reason || cause === reason || name === "AbortError";
}
