// Re-entrant locks: who is inside, by async context, and who gives the lease back; and groups as callbacks hold them.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { InvalidArgumentError, type Lease, LeaseLostError, LockTimeoutError } from "leaselock";
import { test } from "./support/bench.mjs";
import { eventually } from "./support/servers.mjs";

const again = { reentrant: true, wait: 0 };

test("a function calls another under the same re-entrant lock, and the outermost gives it back", async (bench) => {
  const client = bench.client();
  let balance = 0;
  async function add(amount: number): Promise<void> {
    await client.using(bench.name, again, async () => {
      await sleep(1);
      balance += amount;
    });
  }
  await client.using(bench.name, again, async (lease) => {
    await add(4);
    await Promise.all([add(1), add(2)]);
    assert.equal(await client.using(bench.name, again, (inner) => inner), lease);
    assert.ok(lease.held);
    await assert.rejects(
      client.using(bench.name, { wait: 0 }, () => {}),
      LockTimeoutError,
    );
  });
  assert.equal(balance, 7);
  assert.equal(client.stats().acquired, 1);
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("who runs beside the callback of a re-entrant lock is not inside", async (bench) => {
  const client = bench.client();
  let inside = 0;
  const work = () =>
    client.using(bench.name, { reentrant: true }, async () => {
      inside += 1;
      assert.equal(inside, 1);
      await sleep(5);
      await client.using(bench.name, { reentrant: true }, () => sleep(1));
      inside -= 1;
    });
  await Promise.all(Array.from({ length: 8 }, work));
  assert.equal(client.stats().acquired, 8);
  const other = bench.client();
  await client.using(bench.name, again, () =>
    assert.rejects(
      other.using(bench.name, again, () => {}),
      LockTimeoutError,
    ),
  );
});

test("what a callback has started is inside until all have left, and not after that", async (bench) => {
  const client = bench.client();
  let late: Promise<Lease> | undefined;
  let started: Promise<void> | undefined;
  const outer = await client.using(bench.name, again, async (lease) => {
    started = client.using(bench.name, again, () => sleep(100));
    late = sleep(300).then(() => client.using(bench.name, again, (lease) => lease));
    return lease;
  });
  assert.ok(outer.held, "who was started is still inside");
  await started;
  assert.equal(outer.state, "released");
  const fresh = await late;
  assert.notEqual(fresh, outer);
  assert.equal(client.stats().acquired, 2);
});

test("a re-entrant lock is entered again with the same options, while its lease is held", async (bench) => {
  const client = bench.client();
  await client.using(bench.name, { reentrant: true, ttl: 5_000 }, async (lease) => {
    for (const options of [{}, { ttl: 6_000 }, { ttl: 5_000, wait: 1 }, { ttl: 5_000, label: "x" }]) {
      const entered = client.using(bench.name, { reentrant: true, ...options }, () => {});
      await assert.rejects(entered, InvalidArgumentError);
    }
    assert.ok(lease.held);
  });
  const lost = client.using(bench.name, { reentrant: true, ttl: 500 }, async (lease) => {
    await client.forceRelease(bench.name);
    await eventually("the loss is known", () => lease.signal.aborted);
    await assert.rejects(
      client.using(bench.name, { reentrant: true, ttl: 500 }, () => {}),
      LeaseLostError,
    );
  });
  await assert.rejects(lost, LeaseLostError);
  await assert.rejects(
    client.using(bench.name, { reentrant: 1 as never }, () => {}),
    TypeError,
  );
  await assert.rejects(client.acquire(bench.name, { reentrant: true } as never), /acquire has no option "reentrant"/);
});

test("an error of a body leaves a re-entrant lock", async (bench) => {
  const client = bench.client();
  const mine = new RangeError("mine");
  const fails = () =>
    client.using(bench.name, again, () =>
      client.using(bench.name, again, () => {
        throw mine;
      }),
    );
  await assert.rejects(fails, (error) => error === mine);
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("usingAll holds several names for its body, and aborts its signal when one is lost", async (bench) => {
  const client = bench.client();
  const names = [`${bench.name}-b`, `${bench.name}-a`];
  const value = await client.usingAll(new Set(names), { ttl: 5_000 }, async (group) => {
    assert.deepEqual(group.names, names.toReversed());
    assert.deepEqual([...group.tokens.keys()], group.names);
    assert.equal((await client.inspect(names[0] as string))?.owner, group.owners.get(names[0] as string));
    assert.equal(await client.tryAcquireAll(names), null);
    assert.equal(JSON.parse(JSON.stringify(group)).state, "held");
    return 7;
  });
  assert.equal(value, 7);
  const lost = client.usingAll(names, { ttl: 500 }, async ({ signal }) => {
    await client.forceRelease(names[0] as string);
    await sleep(5_000, undefined, { signal }).catch(() => {});
    assert.ok(signal.reason instanceof LeaseLostError);
    assert.match(signal.reason.message, new RegExp(`"${names[0]}" is lost`));
  });
  await assert.rejects(lost, LeaseLostError);
  await using both = await client.acquireAll(names, { wait: 5_000 });
  const controller = new AbortController();
  const waiting = client.acquireAll(names, { signal: controller.signal });
  await sleep(50);
  controller.abort(new RangeError("enough"));
  await assert.rejects(waiting, RangeError);
  assert.ok(both.held);
});

test("the names of a group are checked before anything is sent", async (bench) => {
  const client = bench.client();
  for (const wrong of ["ab", 5, null, undefined, {}]) {
    await assert.rejects(client.acquireAll(wrong as never), { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" });
  }
  await assert.rejects(
    client.usingAll(["a", 5 as never], () => {}),
    /each of names must be a string/,
  );
  await assert.rejects(client.tryAcquireAll([]), InvalidArgumentError);
  await assert.rejects(client.usingAll(["a"], undefined as never), TypeError);
  assert.equal(client.stats().acquired, 0);
});
