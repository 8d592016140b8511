// The plain data that goes in and out. Durations are milliseconds everywhere; fractions round down.

/** A user and a password. */
export interface Credentials {
  /** The server's `default` user when it is not given. */
  username?: string | undefined;
  password: string;
}

/** How TLS is spoken with a server. Files are PEM, named by their paths. */
export interface TlsOptions {
  /** The certificates of the authorities to trust, in place of the system's. */
  ca?: string | undefined;
  /** The client's own certificate, for a server that asks for one. */
  cert?: string | undefined;
  /** The key of that certificate. */
  key?: string | undefined;
  /** Takes any certificate, which lets whoever sits in between read all. */
  insecureSkipVerify?: boolean | undefined;
}

/** How a client talks to its store. */
export interface ClientOptions {
  /** The namespace of the names; LEASELOCK_APP_ID, or none, when it is not given. Up to 256 bytes. */
  appId?: string | undefined;
  /** After how long without an answer the server counts as unreachable. 5000 ms when it is not given. */
  commandTimeout?: number | undefined;
  /** For `rediss://` and `valkeys://`. The URL may say the same, as `?tls_ca=…`; said twice, they must be equal. */
  tls?: TlsOptions | undefined;
  /** Stands before every key and channel, at most 128 bytes. With one, locks are not shared with Dapr. */
  keyPrefix?: string | undefined;
  /**
   * Where servers are reached that announce other addresses than this client can reach, as
   * `{ "announced:port": "reachable:port" }`: behind NAT, in containers. For sentinels and clusters.
   */
  addressMap?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined;
  /**
   * How many replicas have to have a lock before it counts as acquired or renewed; 0 when it is not given. An acquire that
   * fewer confirm is undone, and rejects with a `StoreUnavailableError`.
   */
  replicas?: number | undefined;
  /**
   * Called for each new connection, for passwords that expire or are rotated, in place of those in the URL. It must not use
   * the client itself, and has 1000 ms, more when it was slow before, `commandTimeout` at most. What it throws is the
   * `cause` of the `StoreUnavailableError`.
   */
  credentials?: (() => Credentials | PromiseLike<Credentials>) | undefined;
}

/** How to take a lock that is free. */
export interface TryAcquireOptions {
  /** The lease: how long the name stays taken when nothing more is heard of its holder. 100 ms to 365 days; 30 000 ms when it is not given. */
  ttl?: number | undefined;
  /** Whether the lease is renewed in the background, at a third of its TTL. It is, unless this is `false`. */
  renew?: boolean | undefined;
  /** How long the name may be held in all, renewals included. At least `ttl`. */
  maxHold?: number | undefined;
  /** For people: leads the owner string. Up to 128 bytes. */
  label?: string | undefined;
  /** Aborts the acquire, and only that: the promise rejects with the signal's reason, and nothing stays behind. */
  signal?: AbortSignal | undefined;
}

/** How to take a lock, waiting for it. */
export interface AcquireOptions extends TryAcquireOptions {
  /** How long to wait for the name: 0 tries once, `undefined` waits for ever. */
  wait?: number | undefined;
}

/**
 * `held`; `unsure` when a renewal has failed but the time has not run out (still held); `lost`; `released`.
 */
export type LeaseState = "held" | "unsure" | "lost" | "released";

/**
 * Why a lease was lost: its time ran out (`expired`), the store says that someone else holds the name (`taken`),
 * `maxHold` was reached (`max_hold`), or somebody else released it (`released`).
 */
export type LossReason = "expired" | "taken" | "max_hold" | "released";

/** What came of a release by name and owner. */
export type ReleaseStatus = "RELEASED" | "NOT_FOUND" | "NOT_OWNER";

/** What came of a release by name and owner. */
export const ReleaseStatus = {
  /** The name was given back. */
  RELEASED: "RELEASED",
  /** Nobody held the name. */
  NOT_FOUND: "NOT_FOUND",
  /** Somebody else holds the name; nothing was changed. */
  NOT_OWNER: "NOT_OWNER",
} as const satisfies { [status in ReleaseStatus]: status };

/** Who holds a name. */
export interface LockInfo {
  name: string;
  /** The holder's owner string; its label, where it has one, leads it. */
  owner: string;
  /** Milliseconds until the name is free again if it is not renewed; `null` when the key has no TTL. */
  expiresIn: number | null;
  /** How many wait for the name. */
  waiters: number;
}

/** Counters of a client since it was made; `held` and `waiting` are as of now. */
export interface Stats {
  held: number;
  waiting: number;
  acquired: number;
  contended: number;
  timedOut: number;
  cancelled: number;
  released: number;
  lost: number;
  renewals: number;
  renewFailures: number;
  reconnects: number;
}

/** What is published on the `diagnostics_channel` named `leaselock`, about the clients and leases of this thread. */
export type LeaselockEvent = LostEvent | CollectedEvent | WaitingEvent | ReportEvent;

/** A lease was lost. */
export interface LostEvent {
  event: "lost";
  name: string;
  owner: string;
  token: number;
  reason: LossReason;
}

/** A lease was garbage-collected unreleased, and is being given back. */
export interface CollectedEvent {
  event: "collected";
  name: string;
  owner: string;
}

/** An acquire has waited for 5 s: told once, by the thread whose client it is. All fields are text. */
export interface WaitingEvent {
  event: "waiting";
  /** The client's id. */
  client: string;
  message: string;
  /** The lock. */
  name: string;
  /** The owner that waits. */
  owner: string;
  /** The owner that holds the lock; none where nobody does just now, or the store does not say. */
  holder?: string;
  /** `"true"` where a client of this process holds it: code under a lock that acquires the same one waits for ever. */
  this_process?: "true" | "false";
  /** How long it has waited: `"5.0 s"`. */
  waited: string;
  error?: string;
}

/**
 * A connection was made again; or a renewal, a release in the background or the undoing of an acquire has failed. All
 * fields are text.
 */
export interface ReportEvent {
  event: "reconnect" | "renew_failed" | "release_failed" | "undo_failed";
  /** The client's id, the same in all of its reports. */
  client: string;
  message: string;
  error?: string;
  /** The lock, where it is about one. */
  name?: string;
  owner?: string;
  /** How many leases it is about, where it is about a batch of renewals. */
  leases?: string;
}
