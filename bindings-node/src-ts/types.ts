// The plain data that goes in and out. Durations are milliseconds everywhere; fractions round down.

/** A user and a password, as {@link ClientOptions.credentials} gives them. */
export interface Credentials {
  /** The user's name; the server's `default` user when it is not given. */
  username?: string | undefined;
  /** The password. It is in no message, log or warning. */
  password: string;
}

/** How TLS is spoken with a server. Files are PEM, named by their paths. */
export interface TlsOptions {
  /** Path of the certificates of the authorities to trust, in place of the system's. */
  ca?: string | undefined;
  /** Path of the client's own certificate, for a server that asks for one. */
  cert?: string | undefined;
  /** Path of the key of that certificate. */
  key?: string | undefined;
  /**
   * Takes any certificate, which lets whoever sits in between read all.
   *
   * @defaultValue `false`
   */
  insecureSkipVerify?: boolean | undefined;
}

/** How a client talks to its store. */
export interface ClientOptions {
  /**
   * Keeps the names of applications on one server apart. Up to 256 bytes of UTF-8.
   *
   * @defaultValue the environment variable `LEASELOCK_APP_ID`, or none
   */
  appId?: string | undefined;
  /**
   * Milliseconds after which a command without an answer has failed, and the store counts as unreachable.
   *
   * @defaultValue `5000`
   */
  commandTimeout?: number | undefined;
  /** For `rediss://` and `valkeys://`. The URL may say the same, as `?tls_ca=…`; said twice, they must be equal. */
  tls?: TlsOptions | undefined;
  /**
   * Stands before every key and channel, at most 128 bytes. With one, locks are not shared with Dapr.
   *
   * @defaultValue none
   */
  keyPrefix?: string | undefined;
  /**
   * Where servers are reached that announce other addresses than this client can reach, as
   * `{ "announced:port": "reachable:port" }`: behind NAT, in containers. For sentinels and clusters.
   *
   * @defaultValue addresses are used as they are announced
   */
  addressMap?: Readonly<Record<string, string>> | ReadonlyMap<string, string> | undefined;
  /**
   * How many replicas have to have a lock before it counts as acquired or renewed. An acquire that fewer confirm is
   * undone, and rejects with a {@link StoreUnavailableError}.
   *
   * @defaultValue `0`
   */
  replicas?: number | undefined;
  /**
   * Called for each new connection, for passwords that expire or are rotated, in place of those in the URL. It must not use
   * the client itself, and has 1000 milliseconds, more when it was slow before, `commandTimeout` at most. What it throws is
   * the `cause` of the {@link StoreUnavailableError}.
   *
   * @example
   * ```ts
   * const client = new Client("rediss://cache.example:6379", {
   *   credentials: async () => ({ username: "app", password: await freshToken() }),
   * });
   * ```
   */
  credentials?: (() => Credentials | PromiseLike<Credentials>) | undefined;
}

/** How to take a lock that is free: {@link Client.tryAcquire}. */
export interface TryAcquireOptions {
  /**
   * The lease in milliseconds: how long the name stays taken when nothing more is heard of its holder. 100 ms to 365 days.
   *
   * @defaultValue `30_000`
   */
  ttl?: number | undefined;
  /**
   * Whether the lease is renewed in the background, at a third of its TTL.
   *
   * @defaultValue `true`
   */
  renew?: boolean | undefined;
  /**
   * How many milliseconds the name may be held in all, renewals included. At least `ttl`.
   *
   * @defaultValue no bound
   */
  maxHold?: number | undefined;
  /**
   * How many milliseconds the name stays taken at the least, from when it was acquired, also where it is given back sooner: for
   * jobs that clocks start a moment apart. At most `maxHold`. Whoever dies while holding it has it for `ttl` and no longer.
   *
   * @defaultValue no such time
   */
  minHold?: number | undefined;
  /**
   * For people: leads the owner string. Up to 128 bytes of UTF-8.
   *
   * @defaultValue none
   */
  label?: string | undefined;
  /**
   * Whether others may hold the name at the same time who ask for it so, too: any number of readers, or one writer, who asks
   * without it. Not together with `permits`.
   *
   * @defaultValue `false`
   */
  shared?: boolean | undefined;
  /**
   * How many may hold the name at the same time, this one included: 1 to 10,000, where 1 is an exclusive lock. Each caller keeps
   * to its own number.
   *
   * @defaultValue `undefined`, an exclusive lock
   */
  permits?: number | undefined;
  /** Aborts the acquire, and only that: the promise rejects with the signal's reason, and nothing stays behind. */
  signal?: AbortSignal | undefined;
}

/** How to take a lock, waiting for it: {@link Client.acquire} and {@link Client.using}. */
export interface AcquireOptions extends TryAcquireOptions {
  /**
   * How many milliseconds to wait for the name; `0` tries once.
   *
   * @defaultValue `undefined`, which waits for ever
   */
  wait?: number | undefined;
}

/** How to take a lock for a callback: {@link Client.using}. */
export interface UsingOptions extends AcquireOptions {
  /**
   * Whether whoever is inside already gets the same lease again, by this client: the callback and all that it starts, as
   * `AsyncLocalStorage` sees it. The last to leave gives the lease back. All options must be as they were the first time.
   *
   * @defaultValue `false`: who is inside waits like any other
   *
   * @example
   * ```ts
   * async function add(amount: number) {
   *   await client.using("account:7", { reentrant: true }, () => write(amount));
   * }
   * await client.using("account:7", { reentrant: true }, async () => {
   *   await add(4); // waits for nobody
   *   await Promise.all([add(1), add(2)]); // both are inside, at the same time
   * });
   * ```
   */
  reentrant?: boolean | undefined;
}

/** How to lead: {@link Client.lead}. */
export interface LeadOptions {
  /**
   * The lease in milliseconds: how long the name stays taken when nothing more is heard of its leader. 100 ms to 365 days.
   *
   * @defaultValue `30_000`
   */
  ttl?: number | undefined;
  /**
   * How many milliseconds the name may be led at a stretch; then its lease counts as lost, for whoever waits to lead in
   * turn. At least `ttl`.
   *
   * @defaultValue no bound
   */
  maxHold?: number | undefined;
  /**
   * For people: leads the owner string. Up to 128 bytes of UTF-8.
   *
   * @defaultValue none
   */
  label?: string | undefined;
  /**
   * Ends it when it is aborted: the signal of the lease is aborted, the name given back once the work has ended, and the
   * promise rejects with the signal's reason.
   */
  signal?: AbortSignal | undefined;
}

/**
 * What has become of a lease: `held`; `unsure` when a renewal has failed but the time has not run out (still held); `lost`;
 * `released`.
 */
export type LeaseState = "held" | "unsure" | "lost" | "released";

/**
 * Why a lease was lost: its time ran out (`expired`), the store says that someone else holds the name (`taken`),
 * `maxHold` was reached (`max_hold`), or somebody else released it or the store lost it (`released`).
 */
export type LossReason = "expired" | "taken" | "max_hold" | "released";

/** What came of a release by name and owner: {@link Client.release}, {@link Client.forceRelease}. */
export type ReleaseStatus = "RELEASED" | "NOT_FOUND" | "NOT_OWNER";

/** What came of a release by name and owner: {@link Client.release}, {@link Client.forceRelease}. */
export const ReleaseStatus = {
  /** The name was given back. */
  RELEASED: "RELEASED",
  /** Nobody held the name. */
  NOT_FOUND: "NOT_FOUND",
  /** Somebody else holds the name; nothing was changed. */
  NOT_OWNER: "NOT_OWNER",
} as const satisfies { [status in ReleaseStatus]: status };

/** What came of an extension by name and owner: {@link Client.extend}. */
export type ExtendStatus = "EXTENDED" | "NOT_FOUND" | "NOT_OWNER";

/** What came of an extension by name and owner: {@link Client.extend}. */
export const ExtendStatus = {
  /** The lease has the new TTL. */
  EXTENDED: "EXTENDED",
  /** Nobody held the name. */
  NOT_FOUND: "NOT_FOUND",
  /** Somebody else holds the name; nothing was changed. */
  NOT_OWNER: "NOT_OWNER",
} as const satisfies { [status in ExtendStatus]: status };

/** Whether one holds a name alone (`exclusive`), or others may hold it at the same time (`shared`). */
export type LockMode = "exclusive" | "shared";

/** One that holds a name. */
export interface Holder {
  /** Its owner string, which is enough to give its lease back. */
  owner: string;
  /** Milliseconds until its lease ends if it is not renewed; `null` when it has no end. */
  expiresIn: number | null;
}

/** Who holds a name, at the moment when the store was asked: {@link Client.inspect}, {@link Client.locks}. */
export interface LockInfo {
  /** The lock's name. */
  name: string;
  /**
   * The holder's owner string, which is enough to give the name back; its label, where it has one, leads it. Of several it is
   * that of the first of `holders`.
   */
  owner: string;
  /** Milliseconds until the name is free again if it is not renewed; `null` when the key has no TTL. */
  expiresIn: number | null;
  /** How many wait for the name. */
  waiters: number;
  /** Whether one holds it alone. */
  mode: LockMode;
  /** Who holds it, in the order in which their leases end. A listing names the first ten. */
  holders: Holder[];
  /** How many hold it. */
  holderCount: number;
}

/** Counters of a client since it was made; `held` and `waiting` are as of now. */
export interface Stats {
  /** Leases it holds now. */
  held: number;
  /** Acquires that wait now. */
  waiting: number;
  /** Leases it got. */
  acquired: number;
  /** Acquires that found the name taken. */
  contended: number;
  /** Acquires whose `wait` ran out. */
  timedOut: number;
  /** Acquires that were aborted. */
  cancelled: number;
  /** Leases it gave back. */
  released: number;
  /** Leases it lost. */
  lost: number;
  /** Renewals that succeeded. */
  renewals: number;
  /** Renewals that failed. */
  renewFailures: number;
  /** Connections made anew after one was lost. */
  reconnects: number;
}

/** What a client shows of itself, to `JSON.stringify` and `console.log`: never its URL, which may hold a password. */
export interface ClientFacts {
  /** The app id; empty for none. */
  appId: string;
  /** Whether it was closed. */
  closed: boolean;
}

/** What a lease shows of itself, to `JSON.stringify` and `console.log`. */
export interface LeaseFacts {
  /** See {@link Lease.name}. */
  name: string;
  /** See {@link Lease.owner}. */
  owner: string;
  /** See {@link Lease.token}. */
  token: number;
  /** See {@link Lease.state}. */
  state: LeaseState;
  /** See {@link Lease.ttl}: milliseconds. */
  ttl: number;
  /** See {@link Lease.expiresIn}: milliseconds. */
  expiresIn: number;
}

/** What a group shows of itself, to `JSON.stringify` and `console.log`. */
export interface LeaseGroupFacts {
  /** See {@link LeaseGroup.names}. */
  names: readonly string[];
  /** See {@link LeaseGroup.tokens}: by name. */
  tokens: Record<string, number>;
  /** See {@link LeaseGroup.state}. */
  state: LeaseState;
  /** See {@link LeaseGroup.ttl}: milliseconds. */
  ttl: number;
  /** See {@link LeaseGroup.expiresIn}: milliseconds. */
  expiresIn: number;
}

/**
 * What is published on the `diagnostics_channel` named `leaselock`, about the clients and leases of this thread. `event` says
 * what it is. The fields have the names and values that Rust's `tracing` events and Python's log records have.
 *
 * @example
 * ```ts
 * import { subscribe } from "node:diagnostics_channel";
 * import type { LeaselockEvent } from "leaselock";
 *
 * subscribe("leaselock", (message) => {
 *   const event = message as LeaselockEvent;
 *   if (event.event === "lost") {
 *     logger.warn(event, "a lease was lost");
 *   }
 * });
 * ```
 */
export type LeaselockEvent = LostEvent | CollectedEvent | WaitingEvent | ReportEvent | ObserversBehindEvent;

/** A lease was lost. */
export interface LostEvent {
  /** Which kind of event it is. */
  event: "lost";
  /** The client's id, the same in all of its events. */
  client: string;
  /** The client's app id; empty for none. */
  app_id: string;
  /** What has happened, for people. */
  message: string;
  /** The lock. */
  name: string;
  /** The owner string of the lease. */
  owner: string;
  /** The fencing token of the lease. */
  token: number;
  /** Why it was lost. */
  reason: LossReason;
}

/** A lease was garbage-collected unreleased, and is being given back. There is a process warning as well. */
export interface CollectedEvent {
  /** Which kind of event it is. */
  event: "collected";
  /** The lock. */
  name: string;
  /** The owner string of the lease. */
  owner: string;
}

/** An acquire has waited for 5 s: told once, by the thread whose client it is. */
export interface WaitingEvent {
  /** Which kind of event it is. */
  event: "waiting";
  /** The client's id, the same in all of its events. */
  client: string;
  /** The client's app id; empty for none. */
  app_id: string;
  /** What has happened, for people. */
  message: string;
  /** The lock. */
  name: string;
  /** The owner that waits. */
  owner: string;
  /** The owner that holds the lock; none where nobody does just now, or the store does not say. */
  holder?: string;
  /** Whether a client of this process holds it: then code under a lock that acquires the same one waits for ever. */
  this_process?: boolean;
  /** How long it has waited, for people: `"5.0 s"`. */
  waited: string;
  /** Why the store does not say who holds the lock. */
  error?: string;
}

/**
 * A connection was made again (`reconnect`); a renewal failed, and is tried again until the lease's deadline
 * (`renew_failed`); a release in the background failed (`release_failed`), or the undoing of an acquire (`undo_failed`), and
 * the TTL frees the name; a store cannot be reached by who waits to lead, and is tried again (`lead_failed`); a sentinel
 * cannot be listened to (`unheard`).
 */
export interface ReportEvent {
  /** Which kind of event it is. */
  event: "reconnect" | "renew_failed" | "release_failed" | "undo_failed" | "lead_failed" | "unheard";
  /** The client's id, the same in all of its events. */
  client: string;
  /** What has happened, for people. */
  message: string;
  /** What went wrong; in all but `reconnect`. */
  error?: string;
  /** The client's app id, empty for none, where it is about a lock. */
  app_id?: string;
  /** The lock, where it is about one. */
  name?: string;
  /** The owner string of the lease or the attempt, where it is about one. */
  owner?: string;
}

/** Observers take longer than the events come, and were not told of all. */
export interface ObserversBehindEvent {
  /** Which kind of event it is. */
  event: "observers_behind";
  /** What has happened, for people. */
  message: string;
  /** How many events were not told. */
  missed: number;
}

/**
 * Something that happened to a lock, as `observe` tells of it.
 *
 * Every acquire ends in one of `acquired`, `timed_out`, `busy`, `cancelled` and `failed`, and every lease in one of
 * `released`, `detached` and `lost`. All events of an acquire and of its lease have the same `owner`.
 */
export interface LockEvent {
  /**
   * What happened: `queued` (an acquire begins to wait in line), `acquired`, `timed_out`, `busy` (one that tries once met a
   * holder), `cancelled`, `failed`, `renewed`, `unsure` (a renewal failed and is tried again), `released`, `detached`, `lost`.
   */
  kind: LockEventKind;
  /** When it happened, in milliseconds since the epoch, with fractions. */
  at: number;
  /** The id of the client. */
  client: string;
  /** The app id of the client, empty for none. */
  appId: string;
  /** The lock's name. */
  name: string;
  /** The owner string of the acquire and of its lease. */
  owner: string;
  /** The fencing token; not for an acquire that came to nothing, or waits. */
  token?: number;
  /** Milliseconds that the acquire took, with fractions, where this is its end. */
  waited?: number;
  /** For `acquired`, whether somebody else held the lock at first. */
  contended?: boolean;
  /** Milliseconds that the lease was held, with fractions, where this is its end. */
  held?: number;
  /** For `lost`, why. */
  reason?: LossReason;
  /** For `failed`, the code of the error, such as `STORE_UNAVAILABLE`. */
  error?: string;
}

/** What happened to a lock: see {@link LockEvent}. */
export type LockEventKind =
  | "queued"
  | "acquired"
  | "timed_out"
  | "busy"
  | "cancelled"
  | "failed"
  | "renewed"
  | "unsure"
  | "released"
  | "detached"
  | "lost";
