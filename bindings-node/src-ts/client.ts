// A client: takes locks, looks at them, gives them back by hand.

import type { NativeClient, NativeGroup, NativeLease, NativeLocks, Page } from "../native.js";
import { abortSignal, boolean, callable, number, optional, options, someStrings, string } from "./arguments.js";
import { errorOf } from "./errors.js";
import { startEvents } from "./events.js";
import { abandonGroupScope, type LeaseGroup, leaveGroupScope, makeGroup } from "./group.js";
import { Leaders } from "./leading.js";
import { abandonScope, type Lease, leaveScope, makeLease } from "./lease.js";
import { contextNumber } from "./observe.js";
import { open } from "./opening.js";
import { abortableResult, result } from "./reactor.js";
import { Insiders } from "./reentrant.js";
import { type Inspect, SHOW, shown } from "./showing.js";
import { fromCaller } from "./stacks.js";
import type {
  AcquireOptions,
  ClientFacts,
  ClientOptions,
  ExtendStatus,
  LeadOptions,
  LockInfo,
  ReleaseStatus,
  Stats,
  TryAcquireOptions,
  UsingOptions,
} from "./types.js";
import { warn } from "./warnings.js";

const TRY_OPTIONS = ["ttl", "renew", "maxHold", "minHold", "label", "shared", "permits", "signal"] as const;
const ACQUIRE_OPTIONS = ["wait", ...TRY_OPTIONS] as const;
const USING_OPTIONS = ["reentrant", ...ACQUIRE_OPTIONS] as const;
const LEAD_OPTIONS = ["ttl", "maxHold", "label", "signal"] as const;

startEvents();

/**
 * Takes locks on one store. Making one does no I/O; one is enough for a process, however much it does at once.
 *
 * A value of the wrong type is a `TypeError`, one out of range an {@link InvalidArgumentError}, and both come before anything
 * is sent. Functions that return a promise reject and never throw. The stack of an error begins where its method was called.
 *
 * The types need TypeScript 5.2 or newer, which knows `Symbol.asyncDispose`.
 *
 * @example
 * ```ts
 * const client = new Client("redis://localhost:6379", { appId: "shop" });
 * await client.using("nightly-report", { ttl: 30_000, wait: 10_000 }, async (lease) => {
 *   await write(report, { fence: lease.token, signal: lease.signal });
 * });
 * await client.close();
 * ```
 */
export class Client {
  readonly #native: NativeClient;
  readonly #leaders = new Leaders();
  readonly #insiders = new Insiders();

  /**
   * @param url Where the store is; the environment variable `LEASELOCK_URL` when it is not given.
   *
   * - `redis://user:password@host:6379/0`, `rediss://…` with TLS, `unix:/path/to/socket`: a Redis or Valkey server; also
   *   spelt `valkey://`, `valkeys://` and `redis+unix:///path`.
   * - `redis+sentinel://host:26379,host/service`: the master that these sentinels name; `redis+cluster://host:6379`: a cluster.
   * - `file:path.db`, `file:/absolute/path.db`, or what `pathToFileURL` makes: a file, for every process of this machine.
   * - `memory:NAME`: the memory of this process, for all of its clients and threads that give the same name; for tests.
   * @param clientOptions How to talk to it.
   * @throws {@link InvalidArgumentError} An argument is out of its range, or there is no URL at all.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   *
   * @example
   * ```ts
   * const client = new Client("redis://localhost:6379", { appId: "shop" });
   * ```
   */
  constructor(url?: string, clientOptions?: ClientOptions) {
    try {
      this.#native = open(url, clientOptions);
    } catch (error) {
      throw fromCaller(error, Client);
    }
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
   * Takes a lock, waiting for it in the order of arrival. Not re-entrant: a second acquire of the same name waits like any
   * other.
   *
   * @param name The lock's name: 1 to 512 bytes of UTF-8 without control characters.
   * @param acquireOptions How long to wait and to hold, in milliseconds.
   * @returns The lease, renewed in the background: release it, or hold it by `await using`.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link LockTimeoutError} `wait` ran out while someone else held the name.
   * @throws {@link StoreUnavailableError} The store could not be reached, did not answer within `commandTimeout`, or fewer
   *   replicas than asked for confirmed.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   * @throws The signal's reason, when `signal` is aborted.
   *
   * @example
   * ```ts
   * await using lease = await client.acquire("nightly-report", { ttl: 30_000, wait: 10_000 });
   * await write(report, { fence: lease.token, signal: lease.signal });
   * ```
   */
  async acquire(name: string, acquireOptions?: AcquireOptions): Promise<Lease> {
    try {
      const given = options("acquire", acquireOptions, ACQUIRE_OPTIONS);
      const lease = await this.#take<NativeLease>(false, name, given, optional(number, "wait", given.wait));
      return makeLease(lease, this.#native);
    } catch (error) {
      throw fromCaller(error, ACQUIRE);
    }
  }

  /**
   * Takes a lock if it is free. It never waits in line.
   *
   * @param name The lock's name: 1 to 512 bytes of UTF-8 without control characters.
   * @param tryOptions How long to hold, in milliseconds.
   * @returns The lease, or `null` when somebody else holds the name.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreUnavailableError} The store could not be reached, did not answer within `commandTimeout`, or fewer
   *   replicas than asked for confirmed.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   * @throws The signal's reason, when `signal` is aborted.
   *
   * @example
   * ```ts
   * await using lease = await client.tryAcquire("cleanup");
   * if (lease) {
   *   await cleanUp();
   * }
   * ```
   */
  async tryAcquire(name: string, tryOptions?: TryAcquireOptions): Promise<Lease | null> {
    try {
      const given = options("tryAcquire", tryOptions, TRY_OPTIONS);
      const lease = await this.#take<NativeLease | null>(true, name, given, undefined);
      return lease ? makeLease(lease, this.#native) : null;
    } catch (error) {
      throw fromCaller(error, TRY_ACQUIRE);
    }
  }

  /**
   * Runs `body` while holding a lock, gives the lock back, and resolves with what `body` returned.
   *
   * An error of the body always wins. With none, a lease that was lost on the way rejects with the {@link LeaseLostError}
   * once the body has ended; give `lease.signal` to what should end sooner. A store that cannot be reached for the release
   * is a process warning, since the work was done under a live lease.
   *
   * @param name The lock's name: 1 to 512 bytes of UTF-8 without control characters.
   * @param body What to do under the lock.
   * @returns What `body` returned.
   * @throws What `body` throws, and what {@link Client.acquire} does.
   * @throws {@link LeaseLostError} The body ended well, and the lease was lost on the way.
   *
   * @example
   * ```ts
   * await client.using("nightly-report", async (lease) => {
   *   await write(report, { fence: lease.token, signal: lease.signal });
   * });
   * ```
   */
  using<T>(name: string, body: (lease: Lease) => T | PromiseLike<T>): Promise<T>;
  /**
   * The same with options.
   *
   * @param name The lock's name: 1 to 512 bytes of UTF-8 without control characters.
   * @param usingOptions How long to wait and to hold, in milliseconds, and whether whoever is inside already enters again.
   * @param body What to do under the lock.
   * @returns What `body` returned.
   * @throws What `body` throws, and what {@link Client.acquire} does.
   * @throws {@link LeaseLostError} The body ended well, and the lease was lost on the way.
   *
   * @example
   * ```ts
   * await client.using("nightly-report", { ttl: 30_000, wait: 10_000 }, async (lease) => {
   *   await write(report, { fence: lease.token, signal: lease.signal });
   * });
   * ```
   */
  using<T>(
    name: string,
    usingOptions: UsingOptions | undefined,
    body: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T>;
  async using<T>(
    name: string,
    optionsOrBody: UsingOptions | undefined | ((lease: Lease) => T | PromiseLike<T>),
    maybeBody?: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T> {
    const [usingOptions, given] =
      typeof optionsOrBody === "function" ? [undefined, optionsOrBody] : [optionsOrBody, maybeBody];
    let lease: Lease;
    try {
      callable("the body of using", given);
      // What is no object at all is for `acquire` to refuse.
      if (typeof usingOptions === "object" && usingOptions && "reentrant" in usingOptions) {
        const { reentrant, ...acquireOptions } = options("using", usingOptions, USING_OPTIONS);
        const take = () => this.acquire(name, acquireOptions);
        if (optional(boolean, "reentrant", reentrant)) {
          const body = given as (lease: Lease) => T | PromiseLike<T>;
          return await this.#insiders.using(string("name", name), acquireOptions, take, body);
        }
        lease = await take();
      } else {
        lease = await this.acquire(name, usingOptions);
      }
    } catch (error) {
      throw fromCaller(error, USING);
    }
    let value: T;
    try {
      value = await (given as (lease: Lease) => T | PromiseLike<T>)(lease);
    } catch (error) {
      await abandonScope(lease);
      throw error;
    }
    try {
      await leaveScope(lease);
    } catch (error) {
      throw fromCaller(error, USING);
    }
    return value;
  }

  /**
   * Takes several locks, all or none.
   *
   * All are tried at once. Unless each is free they are then waited for one after the other, in the order of the bytes of their
   * UTF-8 whatever the order they are given in: so two groups never wait for each other. It is not re-entrant: whoever holds one
   * of the names already waits for itself.
   *
   * @param names 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is there twice is taken once.
   * @param acquireOptions How long to wait, for all of them together, and to hold each, in milliseconds; how many may hold each.
   * @returns A lease of each, over together: release the group, or hold it by `await using`.
   * @throws {@link InvalidArgumentError} An argument is out of its range; also for no names, and for more than 64.
   * @throws {@link LockTimeoutError} `wait` ran out while someone else held one of the names. None is held.
   * @throws {@link StoreUnavailableError} The store could not be reached, did not answer within `commandTimeout`, or fewer
   *   replicas than asked for confirmed.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   * @throws The signal's reason, when `signal` is aborted.
   *
   * @example
   * ```ts
   * await using both = await client.acquireAll([payer, payee], { wait: 10_000 });
   * await moveMoney(payer, payee, { fences: both.tokens, signal: both.signal });
   * ```
   */
  async acquireAll(names: Iterable<string>, acquireOptions?: AcquireOptions): Promise<LeaseGroup> {
    try {
      const given = options("acquireAll", acquireOptions, ACQUIRE_OPTIONS);
      const wait = optional(number, "wait", given.wait);
      return makeGroup(await this.#takeAll<NativeGroup>(false, names, given, wait), this.#native);
    } catch (error) {
      throw fromCaller(error, ACQUIRE_ALL);
    }
  }

  /**
   * Takes several locks if each is free, or none of them. It never waits in line. Two that try at the same time may each find
   * what the other has for that moment, and both get nothing.
   *
   * @param names 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is there twice is taken once.
   * @param tryOptions How long to hold each, in milliseconds, and how many may.
   * @returns A lease of each, or `null` when somebody else holds one of the names.
   * @throws {@link InvalidArgumentError} An argument is out of its range; also for no names, and for more than 64.
   * @throws {@link StoreUnavailableError} The store could not be reached, did not answer within `commandTimeout`, or fewer
   *   replicas than asked for confirmed.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   * @throws The signal's reason, when `signal` is aborted.
   *
   * @example
   * ```ts
   * await using both = await client.tryAcquireAll([payer, payee]);
   * if (both) {
   *   await moveMoney(payer, payee, { fences: both.tokens, signal: both.signal });
   * }
   * ```
   */
  async tryAcquireAll(names: Iterable<string>, tryOptions?: TryAcquireOptions): Promise<LeaseGroup | null> {
    try {
      const given = options("tryAcquireAll", tryOptions, TRY_OPTIONS);
      const group = await this.#takeAll<NativeGroup | null>(true, names, given, undefined);
      return group ? makeGroup(group, this.#native) : null;
    } catch (error) {
      throw fromCaller(error, TRY_ACQUIRE_ALL);
    }
  }

  /**
   * Runs `body` while holding several locks, gives them back, and resolves with what `body` returned. It ends as
   * {@link Client.using} does.
   *
   * @param names 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is there twice is taken once.
   * @param body What to do under the locks.
   * @returns What `body` returned.
   * @throws What `body` throws, and what {@link Client.acquireAll} does.
   * @throws {@link LeaseLostError} The body ended well, and a lease was lost on the way.
   *
   * @example
   * ```ts
   * await client.usingAll([payer, payee], async (both) => {
   *   await moveMoney(payer, payee, { fences: both.tokens, signal: both.signal });
   * });
   * ```
   */
  usingAll<T>(names: Iterable<string>, body: (group: LeaseGroup) => T | PromiseLike<T>): Promise<T>;
  /**
   * The same with options.
   *
   * @param names 1 to 64 names, each 1 to 512 bytes of UTF-8 without control characters. One that is there twice is taken once.
   * @param acquireOptions How long to wait, for all of them together, and to hold each, in milliseconds; how many may hold each.
   * @param body What to do under the locks.
   * @returns What `body` returned.
   * @throws What `body` throws, and what {@link Client.acquireAll} does.
   * @throws {@link LeaseLostError} The body ended well, and a lease was lost on the way.
   *
   * @example
   * ```ts
   * await client.usingAll([payer, payee], { wait: 10_000 }, async (both) => {
   *   await moveMoney(payer, payee, { fences: both.tokens, signal: both.signal });
   * });
   * ```
   */
  usingAll<T>(
    names: Iterable<string>,
    acquireOptions: AcquireOptions | undefined,
    body: (group: LeaseGroup) => T | PromiseLike<T>,
  ): Promise<T>;
  async usingAll<T>(
    names: Iterable<string>,
    optionsOrBody: AcquireOptions | undefined | ((group: LeaseGroup) => T | PromiseLike<T>),
    maybeBody?: (group: LeaseGroup) => T | PromiseLike<T>,
  ): Promise<T> {
    const [acquireOptions, given] =
      typeof optionsOrBody === "function" ? [undefined, optionsOrBody] : [optionsOrBody, maybeBody];
    let group: LeaseGroup;
    try {
      callable("the body of usingAll", given);
      group = await this.acquireAll(names, acquireOptions);
    } catch (error) {
      throw fromCaller(error, USING_ALL);
    }
    let value: T;
    try {
      value = await (given as (group: LeaseGroup) => T | PromiseLike<T>)(group);
    } catch (error) {
      await abandonGroupScope(group);
      throw error;
    }
    try {
      await leaveGroupScope(group);
    } catch (error) {
      throw fromCaller(error, USING_ALL);
    }
    return value;
  }

  /**
   * Waits for a name as long as it takes, runs `work` under its lease, and does so again whenever the lease is lost.
   *
   * A store that cannot be reached while it waits is tried again, for ever. When the lease is lost `lease.signal` is aborted,
   * and `work` awaited; what it resolves with then is thrown away, and so is an error that comes of that: the signal's reason,
   * an `AbortError`, a {@link LeaseLostError}. When it ends under its lease, or rejects, the lease is given back at once.
   * Aborting `signal` ends it, and so does closing the client: both abort `lease.signal`.
   *
   * @param name The lock's name: 1 to 512 bytes of UTF-8 without control characters.
   * @param work What to do while leading; give `lease.signal` to all that it awaits.
   * @returns What `work` returned, under a lease that it held throughout.
   * @throws What `work` throws, but for what comes of the end of its lease.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   *
   * @example
   * ```ts
   * await client.lead("scheduler", async (lease) => {
   *   for (;;) {
   *     await runNextJob({ fence: lease.token, signal: lease.signal });
   *   }
   * });
   * ```
   */
  lead<T>(name: string, work: (lease: Lease) => T | PromiseLike<T>): Promise<T>;
  /**
   * The same with options.
   *
   * @param name The lock's name: 1 to 512 bytes of UTF-8 without control characters.
   * @param leadOptions How long to hold, in milliseconds, and what ends it.
   * @param work What to do while leading; give `lease.signal` to all that it awaits.
   * @returns What `work` returned, under a lease that it held throughout.
   * @throws What `work` throws, but for what comes of the end of its lease.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type, or an option is unknown.
   * @throws The signal's reason, when `signal` is aborted.
   *
   * @example
   * ```ts
   * await client.lead("scheduler", { ttl: 10_000, signal: shutdown.signal }, async (lease) => {
   *   for (;;) {
   *     await runNextJob({ fence: lease.token, signal: lease.signal });
   *   }
   * });
   * ```
   */
  lead<T>(name: string, leadOptions: LeadOptions | undefined, work: (lease: Lease) => T | PromiseLike<T>): Promise<T>;
  async lead<T>(
    name: string,
    optionsOrWork: LeadOptions | undefined | ((lease: Lease) => T | PromiseLike<T>),
    maybeWork?: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T> {
    const [leadOptions, work] =
      typeof optionsOrWork === "function" ? [undefined, optionsOrWork] : [optionsOrWork, maybeWork];
    try {
      callable("the work of lead", work);
      const given = options("lead", leadOptions, LEAD_OPTIONS);
      const signal = optional(abortSignal, "signal", given.signal);
      const take = async () => makeLease(await this.#takeToLead(name, given), this.#native);
      return await this.#leaders.lead(take, work as (lease: Lease) => T | PromiseLike<T>, signal);
    } catch (error) {
      throw fromCaller(error, LEAD);
    }
  }

  /**
   * Gives back a name by hand, from any process: only while `owner` is who holds it. It never touches waiters.
   *
   * @param name The lock's name.
   * @param owner The owner string of the lease, as {@link Lease.owner} gives it.
   * @returns `"RELEASED"`; `"NOT_FOUND"` where nobody held the name; `"NOT_OWNER"` where someone else does.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreUnavailableError} The store could not be reached, or did not answer within `commandTimeout`.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type.
   */
  async release(name: string, owner: string): Promise<ReleaseStatus> {
    try {
      return await result(this.#native.release(string("name", name), string("owner", owner)));
    } catch (error) {
      throw fromCaller(error, RELEASE);
    }
  }

  /**
   * Makes a lease end exactly `ttl` from now, later or sooner than it would have, from any process that knows the owner string.
   * A name that is not the owner's is left alone. It is for leases that nobody renews, such as one that was detached: a holder
   * that renews sets its own TTL again, and one that does not learns of no change.
   *
   * @param name The lock's name.
   * @param owner The owner string of the lease, as {@link Lease.owner} gives it.
   * @param ttl Milliseconds, 100 to 365 days.
   * @returns `"EXTENDED"`; `"NOT_FOUND"` where nobody held the name; `"NOT_OWNER"` where someone else does.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreUnavailableError} The store could not be reached, or did not answer within `commandTimeout`.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type.
   */
  async extend(name: string, owner: string, ttl: number): Promise<ExtendStatus> {
    try {
      return await result(this.#native.extend(string("name", name), string("owner", owner), number("ttl", ttl)));
    } catch (error) {
      throw fromCaller(error, EXTEND);
    }
  }

  /**
   * Looks who holds a name.
   *
   * @param name The lock's name.
   * @returns The holder, and how many wait; `null` when nobody holds the name.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreUnavailableError} The store could not be reached, or did not answer within `commandTimeout`.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type.
   */
  async inspect(name: string): Promise<LockInfo | null> {
    try {
      return (await result<LockInfo | undefined>(this.#native.inspect(string("name", name)))) ?? null;
    } catch (error) {
      throw fromCaller(error, INSPECT);
    }
  }

  /**
   * The locks of this app id that are held, in no order. The store is asked as the iteration goes on.
   *
   * @param pattern What the names match: `*` any text, `?` any one byte, which is any one character of ASCII; all when it is not given.
   * @returns The locks. One that comes or goes meanwhile may or may not be among them.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreUnavailableError} The store could not be reached, or did not answer within `commandTimeout`.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type.
   *
   * @example
   * ```ts
   * for await (const { name, owner } of client.locks("job-*")) {
   *   console.log(name, owner);
   * }
   * ```
   */
  async *locks(pattern?: string): AsyncGenerator<LockInfo, void, undefined> {
    let native: NativeLocks | undefined;
    let page: Page;
    do {
      try {
        native ??= this.#listing(pattern);
        page = await result<Page>(native.next());
      } catch (error) {
        throw fromCaller(error, LOCKS);
      }
      yield* page.locks;
    } while (!page.done);
  }

  /**
   * Takes a name away from whoever holds it: that lease is lost. Its holder learns of it at the next renewal, at the latest;
   * until then both may act, the older one under the smaller fencing token.
   *
   * @param name The lock's name.
   * @returns `"RELEASED"`, or `"NOT_FOUND"` where nobody held the name.
   * @throws {@link InvalidArgumentError} An argument is out of its range.
   * @throws {@link StoreUnavailableError} The store could not be reached, or did not answer within `commandTimeout`.
   * @throws {@link StoreRefusedError} The store answered that it will not do it, for want of a permission or of memory, say.
   * @throws {@link ClientClosedError} The client was closed.
   * @throws `TypeError` An argument is of a wrong type.
   */
  async forceRelease(name: string): Promise<ReleaseStatus> {
    try {
      return await result(this.#native.forceRelease(string("name", name)));
    } catch (error) {
      throw fromCaller(error, FORCE_RELEASE);
    }
  }

  /**
   * Counters since this client was made; needs no network.
   *
   * @returns What it holds and waits for now, and what has happened since it was made.
   */
  stats(): Stats {
    return this.#native.stats();
  }

  /**
   * Gives back every lease of this client and ends it, within the command time-out; what still waits rejects with a
   * {@link ClientClosedError}. Closing again does nothing.
   *
   * @throws {@link StoreUnavailableError} The store could not be told, and the TTLs free the names. The client is closed.
   */
  async close(): Promise<void> {
    try {
      this.#leaders.close();
      await result(this.#native.close());
    } catch (error) {
      throw fromCaller(error, CLOSE);
    }
  }

  /** What `await using` does at the end of its scope: `close()`, where a store that cannot be reached is a warning. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      warn((error as Error).message, "LEASELOCK_NOT_RELEASED");
    }
  }

  /** Begins a listing. */
  #listing(pattern: string | undefined): NativeLocks {
    const native = this.#native.locks(optional(string, "pattern", pattern) ?? "*");
    if ("code" in native) {
      throw errorOf(native);
    }
    return native;
  }

  #take<T>(once: boolean, name: string, given: TryAcquireOptions, wait: number | undefined): Promise<T> {
    const ttl = optional(number, "ttl", given.ttl);
    const renew = optional(boolean, "renew", given.renew);
    const maxHold = optional(number, "maxHold", given.maxHold);
    const minHold = optional(number, "minHold", given.minHold);
    const label = optional(string, "label", given.label);
    const shared = optional(boolean, "shared", given.shared);
    const permits = optional(number, "permits", given.permits);
    const signal = startingSignal(given);
    const submitted = this.#native.acquire(
      once,
      string("name", name),
      ttl,
      wait,
      renew,
      maxHold,
      minHold,
      label,
      shared,
      permits,
      contextNumber(),
    );
    return signal ? abortableResult(this.#native, submitted, signal) : result(submitted);
  }

  #takeAll<T>(once: boolean, names: Iterable<string>, given: TryAcquireOptions, wait: number | undefined): Promise<T> {
    const ttl = optional(number, "ttl", given.ttl);
    const renew = optional(boolean, "renew", given.renew);
    const maxHold = optional(number, "maxHold", given.maxHold);
    const minHold = optional(number, "minHold", given.minHold);
    const label = optional(string, "label", given.label);
    const shared = optional(boolean, "shared", given.shared);
    const permits = optional(number, "permits", given.permits);
    const signal = startingSignal(given);
    const submitted = this.#native.acquireAll(
      once,
      someStrings("names", names),
      ttl,
      wait,
      renew,
      maxHold,
      minHold,
      label,
      shared,
      permits,
      contextNumber(),
    );
    return signal ? abortableResult(this.#native, submitted, signal) : result(submitted);
  }

  #takeToLead(name: string, given: LeadOptions): Promise<NativeLease> {
    const ttl = optional(number, "ttl", given.ttl);
    const maxHold = optional(number, "maxHold", given.maxHold);
    const label = optional(string, "label", given.label);
    const signal = startingSignal(given);
    const submitted = this.#native.acquireToLead(string("name", name), ttl, maxHold, label, contextNumber());
    return signal ? abortableResult(this.#native, submitted, signal) : result(submitted);
  }

  /** What of it may be seen: for `JSON.stringify`. */
  toJSON(): ClientFacts {
    const { appId, closed } = this.#native;
    return { appId, closed };
  }

  /** @internal */
  [SHOW](_depth: number, inspectOptions: object, inspect: Inspect): string {
    return shown(this, "Client", #native in this ? this.toJSON() : null, inspectOptions, inspect);
  }
}

// Whatever is put in their place later, as tests do: these are on the stack.
const {
  acquire: ACQUIRE,
  tryAcquire: TRY_ACQUIRE,
  using: USING,
  acquireAll: ACQUIRE_ALL,
  tryAcquireAll: TRY_ACQUIRE_ALL,
  usingAll: USING_ALL,
  lead: LEAD,
  release: RELEASE,
  extend: EXTEND,
  inspect: INSPECT,
  locks: LOCKS,
  forceRelease: FORCE_RELEASE,
  close: CLOSE,
} = Client.prototype;

/** The signal, which must not have been aborted already. */
function startingSignal(given: Pick<TryAcquireOptions, "signal">): AbortSignal | undefined {
  const signal = optional(abortSignal, "signal", given.signal);
  signal?.throwIfAborted();
  return signal;
}
