// Networks that forget, lead elsewhere or stay silent: no lease is lost, and nobody waits longer than was said.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, type Lease, LeaselockError, StoreUnavailableError } from "leaselock";
import { type Bench, test, unique } from "./support/bench.mjs";
import { openLine } from "./support/lined.mjs";
import { Relay } from "./support/network.mjs";
import { eventually, OwnServer, plainRedis } from "./support/servers.mjs";

/** An operation on a forgotten connection takes no longer; a lease is unsure no longer. */
const DROP_COSTS = 2_000;
const EARLY = 50;
const LATE = 300;

async function relayTo(bench: Bench, url: string): Promise<Relay> {
  const relay = await Relay.start(url);
  bench.test.after(() => relay.stop());
  return relay;
}

async function serverOf(bench: Bench, ...args: string[]): Promise<OwnServer> {
  const server = await OwnServer.start(bench.server.binary, ...args);
  bench.test.after(() => server.stop());
  return server;
}

/** The outcome, or the error, and how many milliseconds it took. */
async function timed<T>(promise: Promise<T>): Promise<{ value?: T; error?: LeaselockError; took: number }> {
  const start = performance.now();
  const took = () => performance.now() - start;
  try {
    const value = await promise;
    return { value, took: took() };
  } catch (error) {
    assert.ok(error instanceof LeaselockError, String(error));
    return { error, took: took() };
  }
}

/** Uses a client until it has its line beside the shared connection. */
async function warm(client: Client, relay: Relay): Promise<void> {
  await client.inspect("warm");
  await openLine(client, relay);
  await (await client.acquire("warm")).release();
}

/** What each lease was meanwhile, and for how long at a time it was unsure at most. */
async function watch(leases: Lease[], ms: number) {
  const seen = leases.map(() => ({ states: new Set<string>(), longest: 0, since: undefined as number | undefined }));
  const end = performance.now() + ms;
  while (performance.now() < end) {
    for (const [at, of] of seen.entries()) {
      const { state } = leases[at] as Lease;
      of.states.add(state);
      of.since = state === "unsure" ? (of.since ?? performance.now()) : undefined;
      of.longest = Math.max(of.longest, performance.now() - (of.since ?? performance.now()));
    }
    await sleep(5);
  }
  return seen;
}

/** Forgets the connections of a client that holds leases of these TTLs, and looks on for so long. */
async function forgotten(bench: Bench, ttls: number[], ms: number): Promise<void> {
  const relay = await relayTo(bench, bench.server.url);
  const client = bench.client({}, relay.url);
  await warm(client, relay);
  const leases = await Promise.all(ttls.map((ttl) => client.acquire(`${bench.name}-${ttl}`, { ttl })));
  await sleep(50);
  const before = relay.accepted;
  const start = performance.now();
  relay.forget();
  const seen = await watch(leases, ms);
  const stats = client.stats();
  const what = `${ttls}: ${JSON.stringify(seen.map(({ states, longest }) => [...states, longest]))}, ${JSON.stringify(stats)}`;
  for (const [at, lease] of leases.entries()) {
    assert.ok(!seen[at]?.states.has("lost"), what);
    assert.ok((seen[at]?.longest ?? Number.NaN) < DROP_COSTS, what);
    lease.check();
    assert.equal(lease.state, "held", what);
    assert.ok(lease.expiresIn > (ttls[at] as number) / 2, what);
    assert.equal(lease.signal.aborted, false, what);
  }
  assert.equal(stats.lost, 0, what);
  assert.ok(stats.reconnects >= 1, what);
  const made = relay.accepted - before;
  assert.ok(made >= 1 && made <= (performance.now() - start) / 1_000 + 2, `${made} new connections: ${what}`);
  for (const lease of leases) {
    assert.equal(await lease.release(), true, what);
  }
}

test("field bug 38: a forgotten connection loses no lease", async (bench) => {
  await Promise.all([1_000, 2_000, 3_000, 8_000].map((ttl) => forgotten(bench, [ttl], 2 * ttl)));
});

test("field bug 38: leases that are renewed together are not lost together", async (bench) => {
  await forgotten(bench, [20_000, 30_000], 25_000);
});

test("field bug 54: a restart without data is seen at once", async (bench) => {
  const server = await serverOf(bench);
  const client = bench.client({}, server.url);
  await client.inspect(bench.name);
  const lease = await client.acquire(bench.name, { ttl: 30_000 });
  await server.kill();
  await server.run();
  await eventually("the loss is seen", () => lease.signal.aborted, 2_000);
});

for (const idle of [0, 3_000]) {
  const forgets = async (bench: Bench) => {
    const relay = await relayTo(bench, bench.server.url);
    const client = bench.client({}, relay.url);
    await warm(client, relay);
    await sleep(idle);
    return { relay, client };
  };

  test(`field bug 39: an acquire on forgotten connections, idle for ${idle} ms`, async (bench) => {
    const { relay, client } = await forgets(bench);
    relay.forget();
    const { value: lease, error, took } = await timed(client.acquire(bench.name, { wait: 30_000 }));
    assert.ok(lease, `${error} after ${took} ms`);
    assert.ok(took < DROP_COSTS, `${took} ms`);
    const released = await timed(lease.release());
    assert.equal(released.value, true, String(released.error));
    assert.ok(released.took < 500, `${released.took} ms`);
  });

  test(`field bug 39: a release on forgotten connections, idle for ${idle} ms`, async (bench) => {
    const { relay, client } = await forgets(bench);
    const lease = await client.acquire(bench.name);
    relay.forget();
    const { value, error, took } = await timed(lease.release());
    assert.equal(value, true, `${error} after ${took} ms`);
    assert.ok(took < DROP_COSTS, `${took} ms`);
  });

  test(`field bug 39: an inspect on forgotten connections, idle for ${idle} ms`, async (bench) => {
    const { relay, client } = await forgets(bench);
    relay.forget();
    const { value, error, took } = await timed(client.inspect(bench.name));
    assert.equal(value, null, `${error} after ${took} ms`);
    assert.ok(took < DROP_COSTS, `${took} ms`);
  });
}

test("field bug 39: a waiter is handed the lock although its connections were forgotten", async (bench) => {
  const relay = await relayTo(bench, bench.server.url);
  const client = bench.client({}, relay.url);
  await warm(client, relay);
  const other = bench.client();
  const held = await other.acquire(bench.name, { ttl: 60_000 });
  const waiting = timed(client.acquire(bench.name, { wait: 30_000 }));
  await eventually("it waits", async () => (await other.inspect(bench.name))?.waiters === 1);
  await sleep(200);
  relay.forget();
  const start = performance.now();
  assert.equal(await held.release(), true);
  const { value: lease, error } = await waiting;
  const took = performance.now() - start;
  assert.ok(lease, `${error} after ${took} ms`);
  // Its own fallback finds the grant that it never heard of.
  assert.ok(took < 3_000 + 3_000, `${took} ms`);
  assert.equal(await lease.release(), true);
});

test("field bug 40: a demoted master is left and the lease is kept", async (bench) => {
  const options = ["--repl-diskless-sync-delay", "0"];
  const old = await serverOf(bench, ...options);
  const promoted = await serverOf(bench, ...options, "--replicaof", `127.0.0.1 ${old.port}`);
  const [master, replica] = [plainRedis(old.url), plainRedis(promoted.url)];
  bench.test.after(() => [master, replica].map((redis) => redis.disconnect()));
  const relay = await relayTo(bench, old.url);
  const client = bench.client({}, relay.url);
  await warm(client, relay);
  const lease = await client.acquire(bench.name, { ttl: 10_000 });
  await eventually("both have it", async () => (await replica.exists(bench.key)) === 1, 10_000);

  await replica.call("REPLICAOF", "NO", "ONE");
  relay.target = new URL(promoted.url);
  await master.call("REPLICAOF", "127.0.0.1", `${promoted.port}`);
  const start = performance.now();

  for (;;) {
    const { value, error } = await timed(client.tryAcquire("again"));
    assert.ok(performance.now() - start < 8_000, `still ${error}`);
    if (value) {
      assert.equal(await value.release(), true);
      break;
    }
    assert.ok(error instanceof StoreUnavailableError, `${error}`);
    await sleep(20);
  }
  // Past the deadline that the lease had.
  await sleep(start + 11_500 - performance.now());
  assert.equal(lease.state, "held", JSON.stringify(client.stats()));
  assert.equal(lease.signal.aborted, false);
  assert.equal(await lease.release(), true);
  assert.equal(await replica.exists(bench.key), 0);
});

/** A client without a connection, one with the shared one, one with its line, too; each behind a relay of its own. */
async function inEachWarmth(bench: Bench, url: string, commandTimeout: number): Promise<[string, Client][]> {
  const made = ["cold", "shared", "warm"].map(async (warmth): Promise<[string, Client]> => {
    const relay = await relayTo(bench, url);
    const client = bench.client({ commandTimeout }, relay.url);
    if (warmth === "shared") {
      await client.inspect("warm");
    } else if (warmth === "warm") {
      await warm(client, relay);
    }
    return [warmth, client];
  });
  return Promise.all(made);
}

function endsAfter(limit: number, { error, took }: { error?: LeaselockError; took: number }, what: string): void {
  assert.ok(error instanceof StoreUnavailableError, `${what}: ${error} after ${took} ms`);
  assert.ok(took >= limit - EARLY && took <= limit + LATE, `${what}: ${took} ms instead of ${limit}: ${error}`);
}

test("field bug 41: a wait bounds an acquire at a silent server", async (bench) => {
  const server = await serverOf(bench);
  const waits = [200, 1_000, 2_000, 4_000];
  const clients = await Promise.all(waits.map(() => inEachWarmth(bench, server.url, 5_000)));
  // A take has to go by the script again.
  await sleep(1_100);
  server.pause();
  const ends = await Promise.all(
    waits.flatMap((wait, at) =>
      (clients[at] ?? []).map(async ([warmth, client]) => {
        const end = await timed(client.acquire(`${bench.name}-${wait}-${warmth}`, { wait }));
        return { wait, what: `${warmth}, ${wait} ms`, end };
      }),
    ),
  );
  server.resume();
  assert.equal(ends.length, 12);
  for (const { wait, what, end } of ends) {
    endsAfter(wait, end, what);
  }
});

test("field bug 41: trying once ends after the command time-out", async (bench) => {
  const server = await serverOf(bench);
  const [once, tried] = [await inEachWarmth(bench, server.url, 1_500), await inEachWarmth(bench, server.url, 1_500)];
  server.pause();
  const ends = await Promise.all([
    ...once.map(([warmth, client]) => timed(client.acquire(`${bench.name}-${warmth}`, { wait: 0 }))),
    ...tried.map(([warmth, client]) => timed(client.tryAcquire(`${bench.name}-${warmth}`))),
  ]);
  server.resume();
  for (const [at, end] of ends.entries()) {
    endsAfter(1_500, end, [...once, ...tried][at]?.[0] ?? "");
  }
});

test("field bug 41: a waiter that is queued ends with its wait", async (bench) => {
  const server = await serverOf(bench);
  const holder = bench.client({}, server.url);
  const held = await holder.acquire(bench.name, { ttl: 60_000 });
  const waits = [1_500, 4_500];
  const waiting = waits.map((wait) => timed(bench.client({}, server.url).acquire(bench.name, { wait })));
  await eventually("they wait", async () => (await holder.inspect(bench.name))?.waiters === waits.length);
  server.pause();
  const ends = await Promise.all(waiting);
  server.resume();
  for (const [at, { error, took }] of ends.entries()) {
    const wait = waits[at] as number;
    assert.ok(["LOCK_TIMEOUT", "STORE_UNAVAILABLE"].includes(error?.code ?? ""), `${error}`);
    assert.ok(took >= wait - EARLY && took <= wait + LATE, `${took} ms instead of ${wait}: ${error}`);
  }
  assert.equal(await held.release(), true);
});

test("field bug 42: a full server is quoted", async (bench) => {
  const server = await serverOf(bench);
  const saysSo = async (client: Client) => {
    for (const ask of [() => client.tryAcquire(bench.name), () => client.acquire(bench.name, { wait: 300 })]) {
      const { error } = await timed<unknown>(ask());
      assert.ok(error instanceof StoreUnavailableError, `${error}`);
      assert.match(error.message, /max number of clients reached/);
    }
  };
  const relay = await relayTo(bench, server.url);
  const warmed = bench.client({ commandTimeout: 600 }, relay.url);
  await warm(warmed, relay);
  const own = plainRedis(server.url);
  bench.test.after(() => own.disconnect());
  await own.call("CONFIG", "SET", "maxclients", "1");
  await own.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await own.call("CLIENT", "KILL", "TYPE", "pubsub");
  for (let time = 0; time < 10; time += 1) {
    await saysSo(warmed);
    await saysSo(bench.client({ commandTimeout: 600, appId: unique() }, server.url));
  }
  await own.call("CONFIG", "SET", "maxclients", "100");
  const lease = await warmed.acquire(bench.name, { wait: 5_000 });
  assert.equal(await lease.release(), true);
});
