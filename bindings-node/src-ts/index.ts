/// <reference lib="esnext.disposable" preserve="true" />
/**
 * Distributed locks held under a lease, with fencing tokens, on Redis, Valkey or a file.
 *
 * {@link Client} takes locks, {@link Lease} is one that is held. Durations are milliseconds. Every failure is a
 * {@link LeaselockError}; a value of the wrong type is a `TypeError`.
 *
 * The types need TypeScript 5.2 or newer, which knows `Symbol.asyncDispose`. An older one says that it finds no definition
 * of `esnext.disposable`; with `skipLibCheck` it takes the rest.
 *
 * @module leaselock
 */

export { Client } from "./client.js";
export {
  ClientClosedError,
  InvalidArgumentError,
  LeaseLostError,
  LeaselockError,
  LockTimeoutError,
  StoreRefusedError,
  StoreUnavailableError,
} from "./errors.js";
export { LeaseGroup } from "./group.js";
export { Lease } from "./lease.js";
export { observe } from "./observe.js";
export type {
  AcquireOptions,
  ClientFacts,
  ClientOptions,
  CollectedEvent,
  Credentials,
  Holder,
  LeadOptions,
  LeaseFacts,
  LeaseGroupFacts,
  LeaselockEvent,
  LeaseState,
  LockEvent,
  LockEventKind,
  LockInfo,
  LockMode,
  LossReason,
  LostEvent,
  ObserversBehindEvent,
  ReportEvent,
  Stats,
  TlsOptions,
  TryAcquireOptions,
  UsingOptions,
  WaitingEvent,
} from "./types.js";
export { ExtendStatus, ReleaseStatus } from "./types.js";
