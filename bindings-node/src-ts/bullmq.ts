/// <reference lib="esnext.disposable" preserve="true" />
/**
 * leaselock in workers of BullMQ 5.0 to 6: {@link exclusive} makes a processor whose jobs of the same lock are done one at a time, in
 * whatever worker and process.
 *
 * @module leaselock/bullmq
 */

import { DelayedError, type Job } from "bullmq";
import { abortSignal, callable, number, optional, options } from "./arguments.js";
import type { Client } from "./client.js";
import { InvalidArgumentError } from "./errors.js";
import { hold } from "./holding.js";
import type { Lease } from "./lease.js";
import type { TryAcquireOptions } from "./types.js";

/** How {@link exclusive} takes the lock. Durations are milliseconds. */
export interface ExclusiveOptions extends Pick<TryAcquireOptions, "ttl" | "renew" | "maxHold" | "label"> {
  /**
   * What is done with a job while the lock is taken: it is delayed, which uses up none of its attempts (`"delay"`); completed
   * with a {@link Skipped} for a result (`"skip"`); or waits in line, as an active job of its worker (`"wait"`).
   *
   * @defaultValue `"delay"`
   */
  onBusy?: "delay" | "skip" | "wait" | undefined;
  /**
   * With `onBusy: "delay"`, after how many milliseconds the job is tried again.
   *
   * @defaultValue `5_000`
   */
  delay?: number | undefined;
  /**
   * With `onBusy: "wait"`, how many milliseconds to wait; then the job fails with a `LockTimeoutError`.
   *
   * @defaultValue `undefined`, which waits for ever
   */
  wait?: number | undefined;
}

/** The result of a job that was skipped. */
export interface Skipped {
  /** The lock that was taken. */
  skipped: string;
}

/**
 * What does a job under its lock: {@link exclusive}.
 *
 * @param job The job.
 * @param token The token of BullMQ's own lock on the job.
 * @param signal Aborted when the lease is lost, and when BullMQ cancels the job.
 * @param lease The lease; its `token` is the fencing token.
 * @returns The result of the job.
 */
export type ExclusiveProcessor<J extends Job, R> = (
  job: J,
  token: string | undefined,
  signal: AbortSignal,
  lease: Lease,
) => Promise<R>;

const KNOWN = ["onBusy", "delay", "wait", "ttl", "renew", "maxHold", "label"] as const;
const DELAY = 5_000;

/**
 * Makes a processor for `new Worker(queue, processor)`, which does a job while it holds the job's lock.
 *
 * A lease that is lost aborts the signal, and once the processor has ended the job fails with its error, or else with a
 * `LeaseLostError`, and is tried again if it has attempts left. `worker.close()` lets jobs end under their leases; close the
 * client after it.
 *
 * @param client Takes the locks. It is not closed.
 * @param name The lock's name, or a function that makes it of the job.
 * @param processor Does the job.
 * @param exclusiveOptions How to take the lock.
 * @returns The processor for the worker.
 * @throws `InvalidArgumentError` The options contradict each other.
 * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
 *
 * @example
 * ```ts
 * const processor = exclusive(client, (job) => `account-${job.data.account}`, async (job, _token, signal, lease) => {
 *   await book(job.data, { fence: lease.token, signal });
 * });
 * const worker = new Worker("bookings", processor, { connection });
 * ```
 */
export function exclusive<J extends Job, R>(
  client: Client,
  name: string | ((job: J) => string),
  processor: ExclusiveProcessor<J, R>,
  exclusiveOptions?: ExclusiveOptions,
): (job: J, token?: string, signal?: AbortSignal) => Promise<R | Skipped> {
  callable("the processor", processor);
  const given = options("exclusive", exclusiveOptions, KNOWN);
  const { onBusy = "delay", delay, wait, ...taking } = given;
  const after = optional(number, "delay", delay) ?? DELAY;
  if (!["delay", "skip", "wait"].includes(onBusy)) {
    throw new InvalidArgumentError(`onBusy is "delay", "skip" or "wait", not ${JSON.stringify(onBusy)}`);
  }
  if ((delay !== undefined && onBusy !== "delay") || (wait !== undefined && onBusy !== "wait") || !(after >= 0)) {
    throw new InvalidArgumentError('delay is for onBusy: "delay", wait for onBusy: "wait", and neither is below 0');
  }
  // BullMQ hands a signal to functions of three parameters, and counts none that has a default.
  return async (job: J, token: string | undefined, signal: AbortSignal | undefined) => {
    const lock = typeof name === "string" ? name : name(job);
    const cancelled = optional(abortSignal, "signal", signal);
    const lease = await take(
      client,
      lock,
      cancelled ? { ...taking, signal: cancelled } : taking,
      onBusy === "wait",
      wait,
    );
    if (lease) {
      const either = cancelled ? AbortSignal.any([lease.signal, cancelled]) : lease.signal;
      return await hold(lease, () => processor(job, token, either, lease));
    }
    if (onBusy === "skip") {
      return { skipped: lock };
    }
    await job.moveToDelayed(Date.now() + after, token);
    throw new DelayedError();
  };
}

async function take(
  client: Client,
  lock: string,
  taking: TryAcquireOptions,
  waits: boolean,
  wait: number | undefined,
): Promise<Lease | null> {
  try {
    return waits ? await client.acquire(lock, { ...taking, wait }) : await client.tryAcquire(lock, taking);
  } catch (error) {
    // The reason that a job is cancelled for may be a mere text, and BullMQ notes down messages of errors.
    throw error instanceof Error ? error : new Error(`the job was cancelled: ${error}`, { cause: error });
  }
}
