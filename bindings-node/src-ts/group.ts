// A group: several names held together, over together.

import type { NativeClient, NativeGroup } from "../native.js";
import { addon } from "./addon.js";
import { number, optional } from "./arguments.js";
import { errorOf } from "./errors.js";
import { signalOf } from "./lease.js";
import { result } from "./reactor.js";
import { type Inspect, SHOW, shown } from "./showing.js";
import { fromCaller, made } from "./stacks.js";
import type { LeaseGroupFacts, LeaseState } from "./types.js";
import { warn } from "./warnings.js";

/** Makes a `LeaseGroup`; only a client does. */
export let makeGroup: (native: NativeGroup, client: NativeClient) => LeaseGroup;
/** Gives a group back at the end of a scope whose body went well. */
export let leaveGroupScope: (group: LeaseGroup) => Promise<void>;
/** Gives a group back at the end of a scope whose body failed: that error is the one to tell. */
export let abandonGroupScope: (group: LeaseGroup) => Promise<void>;

/**
 * Several names that are held together, until the first of their leases is over. It comes from {@link Client.acquireAll},
 * {@link Client.tryAcquireAll} or {@link Client.usingAll}.
 *
 * Each name has a lease and a fencing token of its own. The first lease that is lost loses the group, and the others are given
 * back at once. Collected unreleased it is given back, with a process warning.
 *
 * @example
 * ```ts
 * await using both = await client.acquireAll([payer, payee]);
 * await moveMoney(payer, payee, { fences: both.tokens, signal: both.signal });
 * ```
 */
export class LeaseGroup {
  readonly #native: NativeGroup;
  readonly #client: NativeClient;

  static {
    makeGroup = (native, client) =>
      new (LeaseGroup as unknown as new (...from: unknown[]) => LeaseGroup)(native, client);
    leaveGroupScope = async (group) => {
      await abandonGroupScope(group);
      // An `acquireAll` that was replaced, as tests do, may give something else.
      const loss = #native in group ? group.#native.loss() : null;
      if (loss) {
        throw errorOf(loss);
      }
    };
    abandonGroupScope = async (group) => {
      if (#native in group && group.#native.settled) {
        return;
      }
      try {
        await group.release();
      } catch (error) {
        // The work was done under live leases; the names are free again when their TTLs end.
        const names = group.names.map((name) => JSON.stringify(name)).join(", ");
        warn(
          `the group of leases on ${names} could not be released and ends by itself within ${group.ttl} ms: ${error}`,
          "LEASELOCK_NOT_RELEASED",
        );
      }
    };
  }

  /**
   * For classes that extend this one: the same group once more.
   *
   * @param group The group, as a client gave it.
   */
  protected constructor(group: LeaseGroup);
  protected constructor(from: unknown, client?: NativeClient) {
    if (from instanceof addon.NativeGroup && client) {
      this.#native = from;
      this.#client = client;
    } else if (typeof from === "object" && from !== null && #native in from) {
      this.#native = from.#native;
      this.#client = from.#client;
    } else {
      throw fromCaller(
        made(new TypeError("a LeaseGroup comes from client.acquireAll(), client.tryAcquireAll() or client.usingAll()")),
        LeaseGroup,
      );
    }
  }

  /** The names, in the order in which they were taken: that of the bytes of their UTF-8. */
  get names(): readonly string[] {
    return this.#native.names;
  }

  /** The fencing token of each name, larger than that of every earlier lease on it. Send each along with the writes it guards. */
  get tokens(): ReadonlyMap<string, number> {
    return byName(this.#native.names, this.#native.tokens);
  }

  /** What the store holds as each name's value. {@link Client.release} takes it. */
  get owners(): ReadonlyMap<string, string> {
    return byName(this.#native.names, this.#native.owners);
  }

  /** The length of the leases in milliseconds, to which each renewal sets them. */
  get ttl(): number {
    return this.#native.ttl;
  }

  /** Milliseconds until the first lease is over if it is not renewed; 0 when the group is. Needs no network. */
  get expiresIn(): number {
    return this.#native.expiresIn;
  }

  /** What has become of it: `lost` with the first lease, `unsure` while one of them is. Needs no network. */
  get state(): LeaseState {
    return this.#native.state;
  }

  /** Whether all the names are still held; needs no network, and is right even when the event loop was blocked. */
  get held(): boolean {
    return this.#native.held;
  }

  /**
   * Aborted once the group is lost, at once if that has already happened; its reason is the {@link LeaseLostError}, which names
   * the lock that was lost first. A release never aborts it.
   */
  get signal(): AbortSignal {
    return signalOf(this.#native, SIGNAL);
  }

  /**
   * Does nothing while all the names are held; needs no network.
   *
   * @throws {@link LeaseLostError} The group is over. It names the lock that was lost first.
   */
  check(): void {
    const failure = this.#native.check();
    if (failure) {
      throw fromCaller(errorOf(failure), CHECK);
    }
  }

  /**
   * Makes each lease end exactly `ttl` milliseconds from now, and renews it to that from now on. Where that fails for one,
   * others may have been extended.
   *
   * @param ttl Milliseconds, 100 to 365 days; the TTL that they have when it is not given.
   * @throws {@link InvalidArgumentError} `ttl` is out of its range, or reaches past `maxHold`.
   * @throws {@link LeaseLostError} The group is over.
   * @throws {@link StoreUnavailableError} The store did not answer in time; that lease is unsure.
   * @throws {@link StoreRefusedError} The store refused.
   * @throws `TypeError` `ttl` is no number.
   */
  async extend(ttl?: number): Promise<void> {
    try {
      await result(this.#native.extend(optional(number, "ttl", ttl)));
    } catch (error) {
      throw fromCaller(error, EXTEND);
    }
  }

  /**
   * Gives all the names back. From the call on none is held, whatever comes of it.
   *
   * @returns `true` when this group gave each of them back, also when asked again; `false` when one had already gone.
   * @throws {@link StoreUnavailableError} The store did not answer in time. Try again, or let the TTLs free the names.
   * @throws {@link StoreRefusedError} The store refused.
   */
  async release(): Promise<boolean> {
    try {
      return await result<boolean>(this.#client.releaseGroup(this.#native));
    } catch (error) {
      throw fromCaller(error, RELEASE);
    }
  }

  /**
   * What `await using` does at the end of its scope: releases. A store that cannot be reached for that is a process warning.
   *
   * @throws {@link LeaseLostError} The group was lost on the way.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await leaveGroupScope(this);
    } catch (error) {
      throw fromCaller(error, DISPOSE);
    }
  }

  /**
   * What of it may be seen: for `JSON.stringify`.
   *
   * @returns Plain values.
   */
  toJSON(): LeaseGroupFacts {
    const { names, state, ttl, expiresIn } = this;
    return { names, tokens: Object.fromEntries(this.tokens), state, ttl, expiresIn };
  }

  /** @internal */
  [SHOW](_depth: number, options: object, inspect: Inspect): string {
    return shown(this, "LeaseGroup", #native in this ? this.toJSON() : null, options, inspect);
  }
}

function byName<T>(names: readonly string[], values: readonly T[]): ReadonlyMap<string, T> {
  return new Map(names.map((name, at) => [name, values[at] as T]));
}

// Whatever is put in their place later, as tests do: these are on the stack.
const { check: CHECK, extend: EXTEND, release: RELEASE, [Symbol.asyncDispose]: DISPOSE } = LeaseGroup.prototype;
const SIGNAL = Object.getOwnPropertyDescriptor(LeaseGroup.prototype, "signal")?.get as () => AbortSignal;
