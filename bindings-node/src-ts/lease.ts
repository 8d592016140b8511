// A lease: a name held for a time, renewed in the background, over when released or lost.

import type { NativeClient, NativeGroup, NativeLease } from "../native.js";
import { addon } from "./addon.js";
import { number, optional } from "./arguments.js";
import { setMaxListeners } from "./builtins.js";
import { errorOf } from "./errors.js";
import { result } from "./reactor.js";
import { type Inspect, SHOW, shown } from "./showing.js";
import { beginAt, fromCaller, here, made } from "./stacks.js";
import type { LeaseFacts, LeaseState } from "./types.js";
import { warn } from "./warnings.js";

/** Makes a `Lease`; only a client does. */
export let makeLease: (native: NativeLease, client: NativeClient) => Lease;
/** Gives a lease back at the end of a scope whose body went well. */
export let leaveScope: (lease: Lease) => Promise<void>;
/** Gives a lease back at the end of a scope whose body failed: that error is the one to tell. */
export let abandonScope: (lease: Lease) => Promise<void>;
/** Aborts the signal of a lease that is to be worked under no more, for another reason than its loss. */
export let stopScope: (lease: Lease, reason: unknown) => void;
/** Whether a lease was lost, also where only the release noticed. */
export let wasLost: (lease: Lease) => boolean;

/** A lease, or a group of them, which has the owner of its first. */
type Native = NativeLease | NativeGroup;

// Only leases whose signal somebody asked for need to be found when they are lost.
const losses = new WeakMap<Native, AbortController>();
const watched = new Map<string, WeakRef<Native>>();
const unwatch = new FinalizationRegistry<string>((owner) => watched.delete(owner));
// Whoever holds the signal works under the lease, so the lease must live as long.
const leaseOf = new WeakMap<AbortSignal, Native>();
// A loss has no caller: where the signal was asked for says more than nothing.
const asked = new WeakMap<Native, Error>();

/** Aborts the signal of the lease with this owner, if it has one. */
export function tellLost(owner: string): void {
  const native = watched.get(owner)?.deref();
  if (native) {
    abortIfLost(native);
  }
}

function abortIfLost(native: Native): void {
  const controller = losses.get(native);
  const loss = native.loss();
  if (loss && controller && !controller.signal.aborted) {
    controller.abort(beginAt(errorOf(loss), asked.get(native)));
  }
}

function watch(native: Native, called: () => AbortSignal): AbortController {
  const controller = new AbortController();
  asked.set(native, here(called));
  try {
    // A lease is given to all that works under it, however much that is: that is no leak to warn of.
    setMaxListeners(0, controller.signal);
  } catch {
    // Not Node's own, as in a simulated browser.
  }
  losses.set(native, controller);
  leaseOf.set(controller.signal, native);
  watched.set(native.owner, new WeakRef(native));
  unwatch.register(native, native.owner);
  return controller;
}

/** The signal that is aborted when it is lost; `called` is the getter that gives it. */
export function signalOf(native: Native, called: () => AbortSignal): AbortSignal {
  const { signal } = losses.get(native) ?? watch(native, called);
  abortIfLost(native);
  return signal;
}

/**
 * A name held under a lease. It comes from {@link Client.acquire}, {@link Client.tryAcquire} or {@link Client.using}, and is
 * renewed by a thread of its own, so that a blocked event loop does not lose it. Collected unreleased it is given back, with a
 * process warning.
 *
 * @example
 * ```ts
 * await using lease = await client.acquire("nightly-report", { ttl: 30_000 });
 * await write(report, { fence: lease.token, signal: lease.signal });
 * ```
 */
export class Lease {
  readonly #native: NativeLease;
  readonly #client: NativeClient;

  static {
    makeLease = (native, client) => new (Lease as unknown as new (...from: unknown[]) => Lease)(native, client);
    leaveScope = async (lease) => {
      await abandonScope(lease);
      // An `acquire` that was replaced, as tests do, may give something else.
      const loss = #native in lease ? lease.#native.loss() : null;
      if (loss) {
        throw errorOf(loss);
      }
    };
    stopScope = (lease, reason) => {
      const controller = losses.get(lease.#native) ?? watch(lease.#native, SIGNAL);
      if (!controller.signal.aborted) {
        controller.abort(reason);
      }
    };
    wasLost = (lease) => lease.#native.loss() !== null;
    abandonScope = async (lease) => {
      if (#native in lease && lease.#native.settled) {
        return;
      }
      try {
        await lease.release();
      } catch (error) {
        // The work was done under a live lease; the name is free again when its TTL ends.
        warn(
          `the lease on ${JSON.stringify(lease.name)} could not be released and ends by itself within ${lease.ttl} ms: ${error}`,
          "LEASELOCK_NOT_RELEASED",
        );
      }
    };
  }

  /**
   * For classes that extend this one: the same lease once more.
   *
   * @param lease The lease, as a client gave it.
   */
  protected constructor(lease: Lease);
  protected constructor(from: unknown, client?: NativeClient) {
    if (from instanceof addon.NativeLease && client) {
      this.#native = from;
      this.#client = client;
    } else if (typeof from === "object" && from !== null && #native in from) {
      this.#native = from.#native;
      this.#client = from.#client;
    } else {
      throw fromCaller(
        made(new TypeError("a Lease comes from client.acquire(), client.tryAcquire() or client.using()")),
        Lease,
      );
    }
  }

  /** The lock's name. */
  get name(): string {
    return this.#native.name;
  }

  /** What the store holds as the name's value: unique to this lease, led by its label. {@link Client.release} takes it. */
  get owner(): string {
    return this.#native.owner;
  }

  /**
   * The fencing token: larger than that of every earlier lease on the name. Send it along with every write, and let the
   * resource refuse one that is smaller than the largest it has seen.
   */
  get token(): number {
    return this.#native.token;
  }

  /** The length of the lease in milliseconds, to which each renewal sets it. */
  get ttl(): number {
    return this.#native.ttl;
  }

  /** Milliseconds until the lease is over if it is not renewed; 0 when it is. Needs no network. */
  get expiresIn(): number {
    return this.#native.expiresIn;
  }

  /** What has become of it; needs no network. */
  get state(): LeaseState {
    return this.#native.state;
  }

  /** Whether the name is still held; needs no network, and is right even when the event loop was blocked. */
  get held(): boolean {
    return this.#native.held;
  }

  /**
   * Aborted once the lease is lost, at once if that has already happened; its reason is the {@link LeaseLostError}, whose stack
   * begins where the signal was first asked for. A release never aborts it.
   */
  get signal(): AbortSignal {
    return signalOf(this.#native, SIGNAL);
  }

  /**
   * Does nothing while the name is held; needs no network.
   *
   * @throws {@link LeaseLostError} The lease is over.
   *
   * @example
   * ```ts
   * for (const page of report) {
   *   lease.check();
   *   await write(page, { fence: lease.token });
   * }
   * ```
   */
  check(): void {
    const failure = this.#native.check();
    if (failure) {
      throw fromCaller(errorOf(failure), CHECK);
    }
  }

  /**
   * Makes the lease end exactly `ttl` milliseconds from now, and renews it to that from now on.
   *
   * @param ttl Milliseconds, 100 to 365 days; the TTL that it has when it is not given.
   * @throws {@link InvalidArgumentError} `ttl` is out of its range, or reaches past `maxHold`.
   * @throws {@link LeaseLostError} The lease is over.
   * @throws {@link StoreUnavailableError} The store did not answer in time; the lease is unsure.
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
   * Gives the name back. From the call on the lease is not held, whatever comes of it.
   *
   * @returns `true` when this lease did so, also when asked again; `false` when it had already gone.
   * @throws {@link StoreUnavailableError} The store did not answer in time. Try again, or let the TTL free the name.
   * @throws {@link StoreRefusedError} The store refused.
   */
  async release(): Promise<boolean> {
    try {
      return await result<boolean>(this.#client.releaseLease(this.#native));
    } catch (error) {
      throw fromCaller(error, RELEASE);
    }
  }

  /** Stops renewing and leaves the name to its TTL, or to {@link Client.release} with its name and owner from elsewhere. */
  detach(): void {
    this.#native.detach();
  }

  /**
   * What `await using` does at the end of its scope: releases. A store that cannot be reached for that is a process warning.
   *
   * @throws {@link LeaseLostError} The lease was lost on the way.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await leaveScope(this);
    } catch (error) {
      throw fromCaller(error, DISPOSE);
    }
  }

  /** What of it may be seen: for `JSON.stringify`. */
  toJSON(): LeaseFacts {
    const { name, owner, token, state, ttl, expiresIn } = this;
    return { name, owner, token, state, ttl, expiresIn };
  }

  /** @internal */
  [SHOW](_depth: number, options: object, inspect: Inspect): string {
    return shown(this, "Lease", #native in this ? this.toJSON() : null, options, inspect);
  }
}

// Whatever is put in their place later, as tests do: these are on the stack.
const { check: CHECK, extend: EXTEND, release: RELEASE, [Symbol.asyncDispose]: DISPOSE } = Lease.prototype;
const SIGNAL = Object.getOwnPropertyDescriptor(Lease.prototype, "signal")?.get as () => AbortSignal;
