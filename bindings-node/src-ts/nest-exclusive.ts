// The decorator for NestJS that has a method run in one place at a time.

import { Inject } from "@nestjs/common";
import { number, optional, options } from "./arguments.js";
import { InvalidArgumentError } from "./errors.js";
import type { Lease } from "./lease.js";
import { LeaselockRuns, leases } from "./nest-runs.js";
import type { TryAcquireOptions } from "./types.js";

/** How {@link Exclusive} takes the lock. Durations are milliseconds. */
export interface ExclusiveOptions extends Pick<TryAcquireOptions, "ttl" | "renew" | "maxHold" | "minHold" | "label"> {
  /**
   * What is done while the name is taken: the call resolves with `undefined` and nothing is run (`"skip"`), it waits in line
   * (`"wait"`), or rejects with a `LockTimeoutError` (`"throw"`).
   *
   * @defaultValue `"skip"`
   */
  onBusy?: "skip" | "wait" | "throw" | undefined;
  /**
   * With `onBusy: "wait"`, how many milliseconds to wait; then the call rejects with a `LockTimeoutError`.
   *
   * @defaultValue `undefined`, which waits for ever
   */
  wait?: number | undefined;
}

const KNOWN = ["onBusy", "wait", "minHold", "ttl", "renew", "maxHold", "label"] as const;
const RUNS: unique symbol = Symbol("leaselock");

/**
 * Has a method of a provider run in one place at a time, of all that share the store and the app id. A lease that is lost on the
 * way aborts `currentLease().signal`, and the call rejects with a `LeaseLostError` once the method has ended; an error of
 * the method wins. It may stand above or below `@Cron()` and its like.
 *
 * @param name The lock's name, or a function that makes it of the method's arguments.
 * @param exclusiveOptions How to take the lock.
 * @returns A decorator of methods that return a promise.
 * @throws `InvalidArgumentError` The options contradict each other.
 * @throws `TypeError` An option is unknown, or of a wrong type.
 *
 * @example
 * ```ts
 * @Cron(CronExpression.EVERY_DAY_AT_3AM)
 * @Exclusive("nightly-report", { minHold: 60_000 })
 * async report(): Promise<void> {
 *   const { token, signal } = currentLease();
 *   await write(report, { fence: token, signal });
 * }
 * ```
 */
export function Exclusive(name: string | ((...args: never[]) => string), exclusiveOptions?: ExclusiveOptions) {
  const given = checked(exclusiveOptions);
  return <T extends (...args: never[]) => PromiseLike<unknown>>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<T>,
  ): void => {
    const method = descriptor.value as unknown as (...args: unknown[]) => unknown;
    Inject(LeaselockRuns)(target, RUNS);
    async function exclusive(this: { [RUNS]?: LeaselockRuns }, ...args: unknown[]): Promise<unknown> {
      const runs = this[RUNS];
      if (runs === undefined) {
        throw new TypeError(
          `${String(key)} is @Exclusive: it runs in a provider that Nest made, beside LeaselockModule`,
        );
      }
      const lock = typeof name === "string" ? name : (name as (...args: unknown[]) => string)(...args);
      return await runs.run(lock, given, () => method.apply(this, args));
    }
    // What decorators below this one say of the method.
    for (const said of metadata.getOwnMetadataKeys(method)) {
      metadata.defineMetadata(said, metadata.getOwnMetadata(said, method), exclusive);
    }
    descriptor.value = Object.defineProperty(exclusive, "name", { value: method.name }) as unknown as T;
  };
}

/** Nest brings reflect-metadata. */
const metadata = Reflect as unknown as {
  getOwnMetadataKeys(of: object): unknown[];
  getOwnMetadata(key: unknown, of: object): unknown;
  defineMetadata(key: unknown, value: unknown, of: object): void;
};

function checked(exclusiveOptions: ExclusiveOptions | undefined): ExclusiveOptions {
  const given = options("Exclusive", exclusiveOptions, KNOWN);
  const minHold = optional(number, "minHold", given.minHold) ?? 0;
  if (given.onBusy !== undefined && !["skip", "wait", "throw"].includes(given.onBusy)) {
    throw new InvalidArgumentError(`onBusy is "skip", "wait" or "throw", not ${JSON.stringify(given.onBusy)}`);
  }
  if (given.wait !== undefined && given.onBusy !== "wait") {
    throw new InvalidArgumentError('wait is for onBusy: "wait"');
  }
  if (!(minHold >= 0) || minHold > (given.maxHold ?? Number.POSITIVE_INFINITY)) {
    throw new InvalidArgumentError("minHold is at least 0 and at most maxHold");
  }
  return given;
}

/**
 * The lease under which this code runs: that of the innermost {@link Exclusive} method that called it. Its `signal` is aborted
 * when it is lost, its `token` is the fencing token.
 *
 * @returns The lease.
 * @throws `Error` No method under {@link Exclusive} called this.
 */
export function currentLease(): Lease {
  const lease = leases.getStore();
  if (lease === undefined) {
    throw new Error("there is no current lease: no method under @Exclusive called this");
  }
  return lease;
}
