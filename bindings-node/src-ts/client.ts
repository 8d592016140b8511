// A client: takes locks, looks at them, gives them back by hand.

import type { NativeAccess, NativeClient, NativeLease, Page } from "../native.js";
import { abortSignal, boolean, callable, number, optional, options, string, strings } from "./arguments.js";
import { dropFunction, keepFunction } from "./credentials.js";
import { errorOf } from "./errors.js";
import { startEvents } from "./events.js";
import { abandonScope, type Lease, leaveScope, makeLease } from "./lease.js";
import { abortableResult, reactor, result } from "./reactor.js";
import { type Inspect, SHOW, shown } from "./showing.js";
import type { AcquireOptions, ClientOptions, LockInfo, ReleaseStatus, Stats, TryAcquireOptions } from "./types.js";
import { warn } from "./warnings.js";

const CLIENT_OPTIONS = [
  "appId",
  "commandTimeout",
  "tls",
  "keyPrefix",
  "addressMap",
  "replicas",
  "credentials",
] as const;
const TLS_OPTIONS = ["ca", "cert", "key", "insecureSkipVerify"] as const;
const TRY_OPTIONS = ["ttl", "renew", "maxHold", "label", "signal"] as const;
const ACQUIRE_OPTIONS = ["wait", ...TRY_OPTIONS] as const;

startEvents();

/**
 * Takes locks on one store. Making one does no I/O; one is enough for a process, however much it does at once.
 *
 * A value of the wrong type is a `TypeError`, one out of range an `InvalidArgumentError`, and both come before anything
 * is sent. Functions that return a promise reject and never throw.
 */
export class Client {
  readonly #native: NativeClient;

  /**
   * @param url Where the store is; LEASELOCK_URL when it is not given.
   *
   * - `redis://user:password@host:6379/0`, `rediss://…` with TLS, `unix:/path/to/socket`: a Redis or Valkey server; also
   *   spelt `valkey://`, `valkeys://` and `redis+unix:///path`.
   * - `file:path.db`, `file:/absolute/path.db`, or what `pathToFileURL` makes: a file, for every process of this machine.
   * - `memory:NAME`: the memory of this process, for all of its clients and threads that give the same name; for tests.
   *
   * @example
   * const client = new Client("redis://localhost:6379", { appId: "shop" });
   */
  constructor(url?: string, clientOptions?: ClientOptions) {
    const given = options("Client", clientOptions, CLIENT_OPTIONS);
    const said = access(given);
    const opened = reactor().open(
      // Workers may have an environment of their own, which only `process.env` knows.
      optional(string, "url", url) ?? (process.env["LEASELOCK_URL"] || undefined),
      optional(string, "appId", given.appId) ?? (process.env["LEASELOCK_APP_ID"] || undefined),
      optional(number, "commandTimeout", given.commandTimeout),
      said,
    );
    if ("code" in opened) {
      if (said?.credentials !== undefined) {
        dropFunction(said.credentials);
      }
      throw errorOf(opened);
    }
    this.#native = opened;
  }

  /** What this client is called on the server, and in its events on the diagnostics channel. */
  get id(): string {
    return this.#native.id;
  }

  /** The app id; empty for none. */
  get appId(): string {
    return this.#native.appId;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#native.closed;
  }

  /**
   * Takes a lock, waiting for it in the order of arrival. Rejects with a `LockTimeoutError` when `wait` runs out, a
   * `StoreUnavailableError` when the store could not be reached at that moment, and the signal's reason when `signal` is
   * aborted. Not re-entrant: a second acquire of the same name waits like any other.
   */
  async acquire(name: string, acquireOptions?: AcquireOptions): Promise<Lease> {
    const given = options("acquire", acquireOptions, ACQUIRE_OPTIONS);
    const lease = await this.#take<NativeLease>(false, name, given, optional(number, "wait", given.wait));
    return makeLease(lease, this.#native);
  }

  /** Takes a lock if it is free: the lease, or `null` when somebody else holds the name. */
  async tryAcquire(name: string, tryOptions?: TryAcquireOptions): Promise<Lease | null> {
    const given = options("tryAcquire", tryOptions, TRY_OPTIONS);
    const lease = await this.#take<NativeLease | null>(true, name, given, undefined);
    return lease ? makeLease(lease, this.#native) : null;
  }

  /**
   * Runs `body` while holding a lock, gives the lock back, and resolves with what `body` returned.
   *
   * An error of the body always wins. With none, a lease that was lost on the way rejects with the `LeaseLostError` once
   * the body has ended; give `lease.signal` to what should end sooner. A store that cannot be reached for the release
   * is a process warning, since the work was done under a live lease.
   *
   * @example
   * await client.using("nightly-report", { ttl: 30_000, wait: 10_000 }, async (lease) => {
   *   await write(report, { fence: lease.token, signal: lease.signal });
   * });
   */
  using<T>(name: string, body: (lease: Lease) => T | PromiseLike<T>): Promise<T>;
  using<T>(
    name: string,
    acquireOptions: AcquireOptions | undefined,
    body: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T>;
  async using<T>(
    name: string,
    optionsOrBody: AcquireOptions | undefined | ((lease: Lease) => T | PromiseLike<T>),
    maybeBody?: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T> {
    const [acquireOptions, given] =
      typeof optionsOrBody === "function" ? [undefined, optionsOrBody] : [optionsOrBody, maybeBody];
    const body = callable("the body of using", given as (lease: Lease) => T | PromiseLike<T>);
    const lease = await this.acquire(name, acquireOptions);
    let value: T;
    try {
      value = await body(lease);
    } catch (error) {
      await abandonScope(lease);
      throw error;
    }
    await leaveScope(lease);
    return value;
  }

  /** Gives back a name by hand, from any process: only while `owner` is who holds it. Never touches waiters. */
  async release(name: string, owner: string): Promise<ReleaseStatus> {
    return await result(this.#native.release(string("name", name), string("owner", owner)));
  }

  /** Who holds a name, or `null` when nobody does. */
  async inspect(name: string): Promise<LockInfo | null> {
    return (await result<LockInfo | undefined>(this.#native.inspect(string("name", name)))) ?? null;
  }

  /** The locks of this app id whose names match `pattern`, in which `*` and `?` are special; all when it is not given. */
  async *locks(pattern?: string): AsyncGenerator<LockInfo, void, undefined> {
    const native = this.#native.locks(optional(string, "pattern", pattern) ?? "*");
    if ("code" in native) {
      throw errorOf(native);
    }
    for (;;) {
      const page: Page = await result(native.next());
      yield* page.locks;
      if (page.done) {
        return;
      }
    }
  }

  /** Takes a name away from whoever holds it, who learns of it at the next renewal. `RELEASED` or `NOT_FOUND`. */
  async forceRelease(name: string): Promise<ReleaseStatus> {
    return await result(this.#native.forceRelease(string("name", name)));
  }

  /** Counters since this client was made. */
  stats(): Stats {
    return this.#native.stats();
  }

  /**
   * Gives back every lease of this client and ends it, within the command time-out; what still waits rejects with a
   * `ClientClosedError`. It is closed also where the store could not be told, which rejects with a `StoreUnavailableError`.
   */
  async close(): Promise<void> {
    await result(this.#native.close());
  }

  /** What `await using` does at the end of its scope: `close()`, where a store that cannot be reached is a warning. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      warn((error as Error).message, "LEASELOCK_NOT_RELEASED");
    }
  }

  #take<T>(once: boolean, name: string, given: TryAcquireOptions, wait: number | undefined): Promise<T> {
    const ttl = optional(number, "ttl", given.ttl);
    const renew = optional(boolean, "renew", given.renew);
    const maxHold = optional(number, "maxHold", given.maxHold);
    const label = optional(string, "label", given.label);
    const signal = startingSignal(given);
    const submitted = this.#native.acquire(once, string("name", name), ttl, wait, renew, maxHold, label);
    return signal ? abortableResult(this.#native, submitted, signal) : result(submitted);
  }

  /** What of it may be seen: for `JSON.stringify`. */
  toJSON(): { appId: string; closed: boolean } {
    const { appId, closed } = this.#native;
    return { appId, closed };
  }

  [SHOW](_depth: number, inspectOptions: object, inspect: Inspect): string {
    return shown(this, "Client", #native in this ? this.toJSON() : null, inspectOptions, inspect);
  }
}

/** What is said of the access to a server; nothing, if nothing is. */
function access(given: ClientOptions): NativeAccess | undefined {
  const { tls, keyPrefix, addressMap, replicas, credentials } = given;
  if ([tls, keyPrefix, addressMap, replicas, credentials].every((said) => said === undefined)) {
    return undefined;
  }
  const { ca, cert, key, insecureSkipVerify } = options("tls", tls, TLS_OPTIONS);
  return {
    tlsCa: optional(string, "tls.ca", ca),
    tlsCert: optional(string, "tls.cert", cert),
    tlsKey: optional(string, "tls.key", key),
    tlsInsecureSkipVerify: optional(boolean, "tls.insecureSkipVerify", insecureSkipVerify),
    keyPrefix: optional(string, "keyPrefix", keyPrefix),
    addressMap: optional(strings, "addressMap", addressMap),
    replicas: optional(number, "replicas", replicas),
    // Last: it is kept from here on.
    credentials: credentials === undefined ? undefined : keepFunction(credentials),
  };
}

/** The signal, which must not have been aborted already. */
function startingSignal(given: TryAcquireOptions): AbortSignal | undefined {
  const signal = optional(abortSignal, "signal", given.signal);
  signal?.throwIfAborted();
  return signal;
}
