// What runs under a lock in an application of NestJS, and how that ends.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Client } from "./client.js";
import { ClientClosedError } from "./errors.js";
import { hold } from "./holding.js";
import type { Lease } from "./lease.js";
import type { ExclusiveOptions } from "./nest-exclusive.js";
import type { TryAcquireOptions } from "./types.js";

/** The lease of the innermost method under a lock. */
export const leases = new AsyncLocalStorage<Lease>();

/** The client, and what runs under {@link Exclusive} in this application. */
export class LeaselockRuns {
  readonly #running = new Set<Promise<unknown>>();
  readonly #ending = new AbortController();

  constructor(readonly client: Client) {}

  /** Takes the name and runs the body, as the options say. */
  run(name: string, given: ExclusiveOptions, body: () => unknown): Promise<unknown> {
    const running = this.#run(name, given, body).finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  async #run(name: string, given: ExclusiveOptions, body: () => unknown): Promise<unknown> {
    const { onBusy = "skip", wait, ...taking } = given;
    const lease = await this.#take(name, onBusy, wait, taking);
    return lease ? await hold(lease, () => leases.run(lease, body)) : undefined;
  }

  async #take(
    name: string,
    onBusy: ExclusiveOptions["onBusy"],
    wait: number | undefined,
    taking: TryAcquireOptions,
  ): Promise<Lease | null> {
    const { signal } = this.#ending;
    if (onBusy === "skip") {
      // Timers may go off for as long as this waits for what runs.
      return signal.aborted ? null : await this.client.tryAcquire(name, taking);
    }
    if (onBusy === "throw" || signal.aborted) {
      return await this.client.acquire(name, { ...taking, wait: 0 });
    }
    return await this.client.acquire(name, { ...taking, wait, signal });
  }

  /** Other providers still work: what runs may end, what waits is not begun. */
  async beforeApplicationShutdown(): Promise<void> {
    this.#ending.abort(new ClientClosedError("the application ends, so nothing waits for a lock any more"));
    await Promise.allSettled(this.#running);
  }

  /** For what has begun in the meantime, too. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled(this.#running);
    await this.client[Symbol.asyncDispose]();
  }
}
