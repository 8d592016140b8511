// A lease: a name held for a time, renewed in the background, over when released or lost.

import { inspect } from "node:util";
import type { NativeClient, NativeLease } from "../native.js";
import { addon } from "./addon.js";
import { number, optional } from "./arguments.js";
import { errorOf } from "./errors.js";
import { result } from "./reactor.js";
import type { LeaseState } from "./types.js";
import { warn } from "./warnings.js";

/** Makes a `Lease`; only a client does. */
export let makeLease: (native: NativeLease, client: NativeClient) => Lease;
/** Gives a lease back at the end of a scope whose body went well. */
export let leaveScope: (lease: Lease) => Promise<void>;
/** Gives a lease back at the end of a scope whose body failed: that error is the one to tell. */
export let abandonScope: (lease: Lease) => Promise<void>;
/** Aborts the signal of the lease with this owner, if it has one. */
export let tellLost: (owner: string) => void;

// Only leases whose signal somebody asked for need to be found when they are lost.
const watched = new Map<string, WeakRef<Lease>>();
const unwatch = new FinalizationRegistry<string>((owner) => watched.delete(owner));
// Whoever holds the signal works under the lease, so the lease must live as long.
const leaseOf = new WeakMap<AbortSignal, Lease>();

/**
 * A name held under a lease. It comes from `client.acquire`, `client.tryAcquire` or `client.using`, and is renewed by a
 * thread of its own, so that a blocked event loop does not lose it. Collected unreleased it is given back, with a
 * process warning.
 */
export class Lease {
  readonly #native: NativeLease;
  readonly #client: NativeClient;
  #loss: AbortController | undefined;

  static {
    makeLease = (native, client) => new Lease(native, client);
    leaveScope = (lease) => lease.#leave();
    abandonScope = (lease) => lease.#giveBack();
    tellLost = (owner) => {
      const lease = watched.get(owner)?.deref();
      if (lease) {
        lease.#abortIfLost();
      }
    };
  }

  private constructor(native: NativeLease, client: NativeClient) {
    if (!(native instanceof addon.NativeLease)) {
      throw new TypeError("a Lease comes from client.acquire(), client.tryAcquire() or client.using()");
    }
    this.#native = native;
    this.#client = client;
  }

  /** The lock's name. */
  get name(): string {
    return this.#native.name;
  }

  /** What the store holds as the name's value: unique to this lease, led by its label. `client.release` takes it. */
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

  /** The length of the lease in milliseconds, renewed to that each time. */
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
   * Aborted once the lease is lost, at once if that has already happened; its reason is the `LeaseLostError`. A release
   * never aborts it.
   */
  get signal(): AbortSignal {
    if (this.#loss === undefined) {
      this.#loss = new AbortController();
      leaseOf.set(this.#loss.signal, this);
      watched.set(this.owner, new WeakRef(this));
      unwatch.register(this, this.owner);
    }
    this.#abortIfLost();
    return this.#loss.signal;
  }

  /** Throws the `LeaseLostError` unless the name is held; needs no network. */
  check(): void {
    const failure = this.#native.check();
    if (failure) {
      throw errorOf(failure);
    }
  }

  /**
   * Makes the lease end exactly `ttl` milliseconds from now, and renews it to that from now on. Rejects with a
   * `LeaseLostError` when it is over, with a `StoreUnavailableError` when the store does not answer.
   */
  async extend(ttl?: number): Promise<void> {
    await result(this.#native.extend(optional(number, "ttl", ttl)));
  }

  /**
   * Gives the name back. `true` when this lease did so, also when asked again; `false` when it had already gone. A store
   * that cannot be reached rejects with a `StoreUnavailableError`, and it may be tried again.
   */
  async release(): Promise<boolean> {
    return await result<boolean>(this.#client.releaseLease(this.#native));
  }

  /** Stops renewing and leaves the name to its TTL, for a release by `client.release(name, owner)` from elsewhere. */
  detach(): void {
    this.#native.detach();
  }

  /** What `await using` does at the end of its scope: releases, and rejects with the `LeaseLostError` if it was lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave();
  }

  [inspect.custom](_depth: number, options: object): string {
    const { name, owner, token, state, ttl, expiresIn } = this;
    return `Lease ${inspect({ name, owner, token, state, ttl, expiresIn }, options)}`;
  }

  async #leave(): Promise<void> {
    await this.#giveBack();
    const loss = this.#native.loss();
    if (loss) {
      throw errorOf(loss);
    }
  }

  async #giveBack(): Promise<void> {
    if (this.#native.settled) {
      return;
    }
    try {
      await this.release();
    } catch (error) {
      // The work was done under a live lease; the name is free again when its TTL ends.
      warn(
        `the lease on ${JSON.stringify(this.name)} could not be released and ends by itself within ${this.ttl} ms: ${error}`,
        "LEASELOCK_NOT_RELEASED",
      );
    }
  }

  #abortIfLost(): void {
    const loss = this.#native.loss();
    if (loss && this.#loss && !this.#loss.signal.aborted) {
      this.#loss.abort(errorOf(loss));
    }
  }
}
