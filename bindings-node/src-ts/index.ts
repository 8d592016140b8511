/// <reference lib="esnext.disposable" preserve="true" />
// What leaselock exports.

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
export { Lease } from "./lease.js";
export type {
  AcquireOptions,
  ClientFacts,
  ClientOptions,
  CollectedEvent,
  Credentials,
  LeaseFacts,
  LeaselockEvent,
  LeaseState,
  LockInfo,
  LossReason,
  LostEvent,
  ReportEvent,
  Stats,
  TlsOptions,
  TryAcquireOptions,
  WaitingEvent,
} from "./types.js";
export { ReleaseStatus } from "./types.js";
