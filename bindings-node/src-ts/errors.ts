// The error classes, and how a failed call of the addon becomes one of them.

import type { Failure } from "../native.js";
import { causeOf } from "./causes.js";
import { made } from "./stacks.js";
import type { LossReason } from "./types.js";

/**
 * Any failure of leaselock. `instanceof` holds across several copies of the package, and `name` is never minified.
 *
 * @example
 * ```ts
 * try {
 *   await client.acquire("nightly-report", { wait: 10_000 });
 * } catch (error) {
 *   if (error instanceof LockTimeoutError) {
 *     return; // somebody else writes it
 *   }
 *   throw error;
 * }
 * ```
 */
export class LeaselockError extends Error {
  /**
   * Which failure it is, the same in every language: `"INVALID_ARGUMENT"`, `"LOCK_TIMEOUT"`, `"LEASE_LOST"`,
   * `"STORE_UNAVAILABLE"`, `"STORE_REFUSED"` or `"CLIENT_CLOSED"`.
   */
  readonly code: string;

  /**
   * @param message What was wrong, and what to do.
   * @param code Which failure it is.
   */
  constructor(message: string, code = "LEASELOCK") {
    super(message);
    this.code = code;
  }
}

/** An argument is out of its range; nothing was sent. A value of the wrong type is a `TypeError` instead. */
export class InvalidArgumentError extends LeaselockError {
  /** `"INVALID_ARGUMENT"`. */
  declare readonly code: "INVALID_ARGUMENT";

  /** @param message What was wrong, and what to do. */
  constructor(message: string) {
    super(message, "INVALID_ARGUMENT");
  }
}

/** The wait ran out while someone else held the name. */
export class LockTimeoutError extends LeaselockError {
  /** `"LOCK_TIMEOUT"`. */
  declare readonly code: "LOCK_TIMEOUT";

  /** @param message What was wrong, and what to do. */
  constructor(message: string) {
    super(message, "LOCK_TIMEOUT");
  }
}

/**
 * The lease is over although its holder did not release it. Thrown by {@link Lease.check} and {@link Lease.extend}, at the end of
 * a scope whose lease was lost on the way, and the reason of {@link Lease.signal}.
 */
export class LeaseLostError extends LeaselockError {
  /** `"LEASE_LOST"`. */
  declare readonly code: "LEASE_LOST";
  /** Why it was lost. */
  readonly reason: LossReason;

  /**
   * @param message What was wrong, and what to do.
   * @param reason Why it was lost.
   */
  constructor(message: string, reason: LossReason) {
    super(message, "LEASE_LOST");
    this.reason = reason;
  }
}

/**
 * The store could not be reached, did not answer in time, or said to come back later: trying again later may help. Its `cause`,
 * where it has one, is what {@link ClientOptions.credentials} threw.
 */
export class StoreUnavailableError extends LeaselockError {
  /** `"STORE_UNAVAILABLE"`. */
  declare readonly code: "STORE_UNAVAILABLE";

  /** @param message What was wrong, and what to do. */
  constructor(message: string) {
    super(message, "STORE_UNAVAILABLE");
  }
}

/**
 * The store answered that it will not do it: authentication, permissions, memory, a key of another type. Trying again does not
 * help before something has been changed there.
 */
export class StoreRefusedError extends LeaselockError {
  /** `"STORE_REFUSED"`. */
  declare readonly code: "STORE_REFUSED";

  /** @param message What was wrong, and what to do. */
  constructor(message: string) {
    super(message, "STORE_REFUSED");
  }
}

/** The client was closed, before the call or during it. A new one takes locks again. */
export class ClientClosedError extends LeaselockError {
  /** `"CLIENT_CLOSED"`. */
  declare readonly code: "CLIENT_CLOSED";

  /** @param message What was wrong, and what to do. */
  constructor(message: string) {
    super(message, "CLIENT_CLOSED");
  }
}

const BY_CODE = {
  INVALID_ARGUMENT: InvalidArgumentError,
  LOCK_TIMEOUT: LockTimeoutError,
  STORE_UNAVAILABLE: StoreUnavailableError,
  STORE_REFUSED: StoreRefusedError,
  CLIENT_CLOSED: ClientClosedError,
} as const;

// A program may hold this module more than once: in two versions, or since a test runner loads it anew for each file. By
// a mark of its class, an error of one is known to the other.
const marks = new Map<unknown, symbol>();
Object.defineProperty(LeaselockError, Symbol.hasInstance, {
  value(this: typeof LeaselockError, value: unknown): boolean {
    const mark = marks.get(this);
    if (mark === undefined) {
      return Function.prototype[Symbol.hasInstance].call(this, value);
    }
    return typeof value === "object" && value !== null && mark in value;
  },
});

// Names belong to the class, as for the built-in errors: minifiers rename classes, and instances stay lean.
for (const [name, type] of Object.entries({
  LeaselockError,
  InvalidArgumentError,
  LockTimeoutError,
  LeaseLostError,
  StoreUnavailableError,
  StoreRefusedError,
  ClientClosedError,
})) {
  const mark = Symbol.for(`leaselock.${name}`);
  marks.set(type, mark);
  Object.defineProperty(type.prototype, mark, { value: true });
  Object.defineProperty(type.prototype, "name", { value: name, writable: true, configurable: true });
}

/** The error for a failed call of the addon; make it where the caller awaits, so that its stack leads to the caller. */
export function errorOf(failure: Failure): LeaselockError {
  return made(withoutMark(failure));
}

function withoutMark(failure: Failure): LeaselockError {
  if (failure.code === "LEASE_LOST") {
    return new LeaseLostError(failure.message, failure.reason ?? "expired");
  }
  const type = BY_CODE[failure.code as keyof typeof BY_CODE];
  const error = type ? new type(failure.message) : new LeaselockError(failure.message, failure.code);
  if (failure.cause !== undefined) {
    // As the option of `Error` makes it.
    Object.defineProperty(error, "cause", { value: causeOf(failure.cause), writable: true, configurable: true });
  }
  return error;
}
