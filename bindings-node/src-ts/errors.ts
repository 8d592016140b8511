// The error classes, and how a failed call of the addon becomes one of them.

import type { Failure } from "../native.js";
import { causeOf } from "./causes.js";
import type { LossReason } from "./types.js";

/** Any failure of leaselock; `code` says which, and stays the same in every language. */
export class LeaselockError extends Error {
  readonly code: string;

  constructor(message: string, code = "LEASELOCK") {
    super(message);
    this.code = code;
  }
}

/** An argument is out of its range; nothing was sent. A value of the wrong type is a `TypeError` instead. */
export class InvalidArgumentError extends LeaselockError {
  declare readonly code: "INVALID_ARGUMENT";

  constructor(message: string) {
    super(message, "INVALID_ARGUMENT");
  }
}

/** The wait ran out while someone else held the name. */
export class LockTimeoutError extends LeaselockError {
  declare readonly code: "LOCK_TIMEOUT";

  constructor(message: string) {
    super(message, "LOCK_TIMEOUT");
  }
}

/** The lease is over although its holder did not release it. */
export class LeaseLostError extends LeaselockError {
  declare readonly code: "LEASE_LOST";
  readonly reason: LossReason;

  constructor(message: string, reason: LossReason) {
    super(message, "LEASE_LOST");
    this.reason = reason;
  }
}

/** The store could not be reached, did not answer in time, or said to come back later. */
export class StoreUnavailableError extends LeaselockError {
  declare readonly code: "STORE_UNAVAILABLE";

  constructor(message: string) {
    super(message, "STORE_UNAVAILABLE");
  }
}

/** The store answered that it will not do it: authentication, permissions, memory, a wrong type of key. */
export class StoreRefusedError extends LeaselockError {
  declare readonly code: "STORE_REFUSED";

  constructor(message: string) {
    super(message, "STORE_REFUSED");
  }
}

/** The client was closed. */
export class ClientClosedError extends LeaselockError {
  declare readonly code: "CLIENT_CLOSED";

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

/** The error for a failed call of the addon; make it where the caller awaits, so that its stack names the caller. */
export function errorOf(failure: Failure): LeaselockError {
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
