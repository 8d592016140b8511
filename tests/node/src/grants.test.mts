// The instant of a grant. It begins a lease, or is claimed where it cannot; whatever happens meanwhile, nobody loses a turn
// and nothing is left.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Lease, ReleaseStatus } from "leaselock";
import { type Bench, test } from "./support/bench.mjs";
import { contended, cutOff, HELD, type HeldBack, handOver, heldBack, nextHasIt, TURN } from "./support/grants.mjs";
import { lined } from "./support/lined.mjs";
import { block } from "./support/moments.mjs";
import { eventually, plainRedis } from "./support/servers.mjs";

/** A name is granted for so long. */
const WINDOW = 2_000;

interface Grant {
  owner: string;
  token: number;
}

/** The grants of the name that are told from now on. */
async function grantsOf(bench: Bench): Promise<Grant[]> {
  const grants: Grant[] = [];
  const redis = plainRedis(bench.server.url);
  bench.test.after(() => redis.disconnect());
  redis.on("pmessage", (_pattern, _channel, message: string) => {
    const [, kind, key, owner, token, window] = message.split("\n");
    if (kind === "grant" && key === bench.key) {
      assert.equal(Number(window), WINDOW);
      grants.push({ owner: String(owner), token: Number(token) });
    }
  });
  await redis.psubscribe("lock||inbox||*");
  return grants;
}

interface Begun extends HeldBack {
  lease: Lease;
  grant: Grant | undefined;
}

/** A lease has begun with its grant, and nothing that its client has sent since then comes through. */
async function begun(bench: Bench): Promise<Begun> {
  const at = await lined(bench);
  const grants = await grantsOf(bench);
  for (let tries = 0; tries < 20; tries += 1) {
    const three = await contended(bench, at.client);
    at.shared.holding = "client";
    await three.holder.release();
    await eventually("its renewal or a claim is held back", () => at.shared.held > 0);
    if (at.client.stats().held === 1) {
      return { ...at, ...three, lease: await three.waiting, grant: grants.at(-1) };
    }
    // It had asked more than a second ago: once more.
    at.shared.letGo();
    await (await three.waiting).release();
    await (await three.next).release();
  }
  assert.fail("no lease began with its grant");
}

test("a grant begins a lease at once, and a renewal sets its full ttl", async (bench) => {
  const { client, shared, holder, lease, grant, next } = await begun(bench);
  assert.equal(await bench.redis.get(bench.key), lease.owner);
  assert.ok((await bench.redis.pttl(bench.key)) <= WINDOW, "the hand-over alone has set it");
  assert.deepEqual({ owner: lease.owner, token: lease.token }, grant);
  assert.ok(lease.token > holder.token);
  assert.deepEqual([lease.held, lease.ttl, client.stats().renewals], [true, 30_000, 0]);
  assert.ok(lease.expiresIn <= WINDOW, `${lease.expiresIn} ms are left`);
  shared.letGo();
  await eventually("it is renewed", () => client.stats().renewals > 0);
  assert.equal(lease.state, "held");
  assert.ok(lease.expiresIn > 20_000, `${lease.expiresIn} ms are left`);
  assert.ok((await bench.redis.pttl(bench.key)) > 20_000);
  assert.equal(await lease.release(), true);
  assert.ok((await next).token > lease.token);
  await nextHasIt(bench, next);
  assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
});

test("a lease that began with its grant and cannot be renewed is lost before the next one has the name", async (bench) => {
  const at = await begun(bench);
  const { client, relay, lease, next } = at;
  cutOff(at);
  const { token } = await next;
  assert.equal(lease.state, "lost");
  assert.ok(token > lease.token);
  await eventually("it is told", () => lease.signal.aborted);
  assert.equal(lease.signal.reason.code, "LEASE_LOST");
  assert.equal(client.stats().lost, 1);
  // Renewals that come this late are nobody's.
  relay.letGo();
  assert.equal(await lease.release(), false);
  await nextHasIt(bench, next);
});

test("closing the client gives back a lease that began with its grant", async (bench) => {
  const { client, shared, lease, next } = await begun(bench);
  const closing = client.close();
  await eventually("it is not held", () => !lease.held);
  shared.letGo();
  await closing;
  await nextHasIt(bench, next);
});

for (const [why, options, after] of [
  ["its ttl is shorter than the time it is granted for", { ttl: 1_500 }, 0],
  ["it is not to be renewed", { renew: false }, 0],
  ["it has a maxHold", { maxHold: 60_000 }, 0],
  ["it asked a while ago", {}, 1_200],
] as const) {
  test(`a lease is claimed where ${why}`, async (bench) => {
    const { client, shared } = await lined(bench);
    const grants = await grantsOf(bench);
    const { holder, waiting, next } = await contended(bench, client, options);
    await sleep(after);
    await handOver(holder, shared, "the claim");
    assert.equal(client.stats().held, 0, "it is no lease before its claim is answered");
    shared.letGo();
    const lease = await waiting;
    assert.equal(client.stats().renewals, 0);
    const ttl = "ttl" in options ? options.ttl : 30_000;
    assert.ok(lease.expiresIn > ttl / 2 && lease.expiresIn <= ttl, `${lease.expiresIn} ms are left`);
    const pttl = await bench.redis.pttl(bench.key);
    assert.ok(pttl > ttl / 2 && pttl <= ttl, "the claim set the full ttl");
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    const [grant] = grants;
    assert.equal(grant?.owner, lease.owner);
    assert.ok(lease.token > grant.token, "its token is the claim's");
    assert.equal(await lease.release(), true);
    await nextHasIt(bench, next);
  });
}

for (const what of HELD) {
  test(`${what} is held back, and comes through: it is a lease`, async (bench) => {
    const { client, shared, waiting, next } = await heldBack(bench, what);
    assert.equal(client.stats().held, 0);
    shared.letGo();
    const lease = await waiting;
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    await eventually("it has its full ttl", () => lease.expiresIn > 20_000);
    assert.equal(await lease.release(), true);
    assert.ok((await next).token > lease.token);
    await nextHasIt(bench, next);
    assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
  });

  test(`an abort while ${what} is held back: the next one has it`, async (bench) => {
    const controller = new AbortController();
    const { client, shared, waiting, next } = await heldBack(bench, what, { signal: controller.signal });
    const start = performance.now();
    controller.abort();
    await assert.rejects(waiting, (error) => error === controller.signal.reason);
    assert.ok(performance.now() - start < 500, "it does not wait for the answer");
    shared.letGo();
    await nextHasIt(bench, next);
    assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
    await (await client.acquire(bench.name)).release();
  });

  test(`an abort while ${what} is held back, and the connection stays silent: the next one has it`, async (bench) => {
    const controller = new AbortController();
    const options = { signal: controller.signal, commandTimeout: 1_500 };
    const { shared, waiting, next } = await heldBack(bench, what, options);
    shared.holding = "both";
    controller.abort();
    await assert.rejects(waiting, (error) => error === controller.signal.reason);
    const start = performance.now();
    await nextHasIt(bench, next);
    assert.ok(performance.now() - start < TURN);
  });

  test(`a wait that runs out while ${what} is held back: the next one has it`, async (bench) => {
    const start = performance.now();
    const at = await heldBack(bench, what, { wait: 2_500 });
    const { client, relay, waiting, next } = at;
    cutOff(at);
    await eventually("it gives up its turn", () => client.stats().waiting === 0);
    relay.letGo();
    await assert.rejects(waiting, { code: "LOCK_TIMEOUT" });
    assert.ok(performance.now() - start >= 2_500);
    // What comes this late must not stay in the queue either.
    await nextHasIt(bench, next);
    assert.deepEqual([client.stats().held, client.stats().waiting, client.stats().timedOut], [0, 0, 1]);
    await (await client.acquire(bench.name, { wait: 5_000 })).release();
  });

  test(`a wait that runs out while ${what} stays held back is told, and the next one has it`, async (bench) => {
    const start = performance.now();
    const at = await heldBack(bench, what, { wait: 2_500, commandTimeout: 20_000 });
    const { relay, waiting, next } = at;
    cutOff(at);
    await assert.rejects(waiting, { code: "STORE_UNAVAILABLE" });
    const took = performance.now() - start;
    assert.ok(took >= 2_500 && took < TURN, `it took ${took} ms`);
    relay.hold(undefined);
    relay.cut();
    await nextHasIt(bench, next);
  });

  test(`field bug 20: a connection that breaks while ${what} is held back costs nobody a turn`, async (bench) => {
    const { client, shared, waiting, next } = await heldBack(bench, what);
    shared.cut();
    const lease = await waiting;
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    assert.equal(lease.held, true);
    await lease.release();
    await nextHasIt(bench, next);
    assert.equal(client.stats().held, 0);
  });

  test(`closing the client while ${what} is held back ends its acquire and leaves nothing`, async (bench) => {
    const { client, shared, waiting, next } = await heldBack(bench, what);
    const closing = client.close();
    await sleep(100);
    shared.letGo();
    await assert.rejects(waiting, { code: "CLIENT_CLOSED" });
    await closing;
    await nextHasIt(bench, next);
  });
}

for (const [how, options] of [
  ["begins with its grant", {}],
  ["is claimed", { ttl: 500 }],
] as const) {
  test(`a lease that ${how} while the event loop is blocked is renewed meanwhile`, async (bench) => {
    const { holder, waiting, next } = await contended(bench, bench.client(), options);
    // It is sent all the same.
    const released = holder.release();
    block(WINDOW + 500);
    const lease = await waiting;
    assert.equal(await released, true);
    assert.ok(lease.expiresIn > lease.ttl / 2, `${lease.expiresIn} ms are left`);
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    await sleep(600);
    assert.equal(lease.held, true, "it goes on being renewed");
    assert.equal(await lease.release(), true);
    await nextHasIt(bench, next);
  });
}

test("an abort before the event loop has seen the lease that a grant began: the next one has it", async (bench) => {
  const controller = new AbortController();
  const client = bench.client();
  const { holder, waiting, next } = await contended(bench, client, { signal: controller.signal });
  const released = holder.release();
  block(500);
  controller.abort();
  await assert.rejects(waiting, (error) => error === controller.signal.reason);
  assert.equal(await released, true);
  const start = performance.now();
  await nextHasIt(bench, next);
  assert.ok(performance.now() - start < TURN);
  assert.deepEqual([client.stats().held, client.stats().waiting], [0, 0]);
});

test("a lease that is detached as soon as its grant began it gets its full ttl", async (bench) => {
  const client = bench.client();
  const { holder, waiting, next } = await contended(bench, client);
  await holder.release();
  const lease = await waiting;
  lease.detach();
  await eventually("it has its full ttl", async () => (await bench.redis.pttl(bench.key)) > 20_000);
  await eventually("it knows", () => lease.expiresIn > 20_000);
  assert.equal(await client.release(bench.name, lease.owner), ReleaseStatus.RELEASED);
  await nextHasIt(bench, next);
});
