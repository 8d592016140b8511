// A name that two wait for, handed over; and what then comes through a relay is held back.

import assert from "node:assert/strict";
import type { AcquireOptions, Client, Lease } from "leaselock";
import type { Bench } from "./bench.mjs";
import { type Lined, lined } from "./lined.mjs";
import type { Relayed } from "./network.mjs";
import { eventually } from "./servers.mjs";

/** Far above what a turn takes; far below the TTL of 30 s, which a turn that was lost would cost. */
export const TURN = 10_000;

/** What is held back on the shared connection: the grant, which would begin a lease; a claim; or the answer to a claim. */
export const HELD = ["the grant", "the claim", "the claim's answer"] as const;
export type Held = (typeof HELD)[number];

/** A lease that is not renewed cannot begin with its grant: that is claimed. */
export const renewed = (what: Held) => what === "the grant";

/** A name is held by one and wanted by two more. */
export interface Contended {
  holder: Lease;
  waiting: Promise<Lease>;
  next: Promise<Lease>;
}

export async function contended(bench: Bench, client: Client, options: AcquireOptions = {}): Promise<Contended> {
  const other = bench.client();
  const holder = await other.acquire(bench.name);
  const waiting = client.acquire(bench.name, options);
  // Whoever looks at it first looks at it later.
  waiting.catch(() => {});
  const { next } = await nextWaits(other, bench);
  return { holder, waiting, next };
}

/** The next one, which waits for the name behind somebody who asks for it now. */
export async function nextWaits(other: Client, bench: Bench): Promise<{ next: Promise<Lease> }> {
  await waitersAre(other, bench, 1);
  const next = other.acquire(bench.name, { wait: 2 * TURN });
  next.catch(() => {});
  await waitersAre(other, bench, 2);
  return { next };
}

async function waitersAre(client: Client, bench: Bench, count: number): Promise<void> {
  await eventually(`${count} waiters`, async () => (await client.inspect(bench.name))?.waiters === count);
}

/** Hands the name over to the one that waits behind `shared`, and holds that back. */
export async function handOver(holder: Lease, shared: Relayed, what: Held): Promise<void> {
  shared.holding = what === "the grant" ? "server" : "client";
  await holder.release();
  await eventually("it is held back", () => shared.held > 0);
  if (what === "the claim's answer") {
    shared.letGo();
    shared.holding = "server";
    await eventually("it is held back", () => shared.held > 0);
  }
}

/** Nor does anything come through on another connection, that the client makes because the first one is silent. */
export function cutOff({ relay, shared }: Lined): void {
  relay.hold(shared.holding);
}

export interface HeldBack extends Lined, Contended {}

/** `waiting` was granted the name, and that is held back; `next` waits behind it elsewhere. */
export async function heldBack(
  bench: Bench,
  what: Held,
  options: AcquireOptions & { commandTimeout?: number } = {},
): Promise<HeldBack> {
  const { commandTimeout, ...acquireOptions } = options;
  const at = await lined(bench, commandTimeout);
  const three = await contended(bench, at.client, { renew: renewed(what), ...acquireOptions });
  await handOver(three.holder, at.shared, what);
  return { ...at, ...three };
}

/** The next one has its turn; then nothing is left of anybody. */
export async function nextHasIt(bench: Bench, next: Promise<Lease>): Promise<void> {
  await using lease = await next;
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  await lease.release();
  await nothingIsLeft(bench);
}

async function nothingIsLeft(bench: Bench): Promise<void> {
  await eventually(
    "nothing is left",
    async () => (await bench.redis.keys(`*${bench.app}||${bench.name}*`)).length === 0,
    TURN,
  );
}
