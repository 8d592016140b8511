// client.using: what its body, the lease and the release make of its promise.

import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type Lease, LeaseLostError, LockTimeoutError } from "leaselock";
import { test } from "./support/bench.mjs";
import { Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";
import { collectWarnings } from "./support/warnings.mjs";

test("using resolves with what its body returned, having given the name back", async (bench) => {
  const client = bench.client();
  const value = await client.using(bench.name, { ttl: 5_000 }, async (lease) => {
    assert.equal(await bench.redis.get(bench.key), lease.owner);
    return { token: lease.token };
  });
  assert.ok(value.token > 0);
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("using takes its options or leaves them out, and a body that is not async", async (bench) => {
  const client = bench.client();
  assert.equal(await client.using(bench.name, (lease) => lease.ttl), 30_000);
  assert.equal(await client.using(bench.name, undefined, (lease) => lease.ttl), 30_000);
  assert.equal(await client.using(bench.name, { ttl: 700 }, (lease) => lease.ttl), 700);
});

test("field bug 13: the body's own error wins over everything", async (bench) => {
  const client = bench.client();
  const mine = new RangeError("mine");
  for (const body of [
    () => {
      throw mine;
    },
    async () => {
      throw mine;
    },
    async (lease: Lease) => {
      await client.forceRelease(lease.name);
      await eventually("the loss is known", () => lease.signal.aborted);
      throw mine;
    },
  ]) {
    await assert.rejects(client.using(bench.name, { ttl: 300 }, body), (error) => error === mine);
    assert.equal(await bench.redis.exists(bench.key), 0);
  }
});

test("a lease lost on the way rejects with LeaseLostError once the body has ended", async (bench) => {
  const client = bench.client();
  let ended = false;
  const promise = client.using(bench.name, { ttl: 300 }, async (lease) => {
    await client.forceRelease(bench.name);
    await eventually("the loss is known", () => lease.signal.aborted);
    await sleep(100);
    ended = true;
    return "finished";
  });
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof LeaseLostError);
    assert.equal(error.reason, "released");
    assert.ok(ended, "it waits for its body");
    return true;
  });
});

test("a loss that only the release finds out rejects with LeaseLostError too", async (bench) => {
  const client = bench.client();
  const promise = client.using(bench.name, { ttl: 30_000 }, async () => {
    await bench.redis.set(bench.key, "someone else", "KEEPTTL");
  });
  await assert.rejects(promise, { name: "LeaseLostError", reason: "taken" });
});

test("a lease that the body has released or detached is left alone", async (bench) => {
  const client = bench.client();
  await client.using(bench.name, { ttl: 5_000 }, async (lease) => {
    assert.equal(await lease.release(), true);
    await bench.redis.set(bench.key, "the next", "PX", 5_000);
  });
  assert.equal(await bench.redis.get(bench.key), "the next");
  await bench.redis.del(bench.key);

  const owner = await client.using(bench.name, { ttl: 5_000 }, (lease) => {
    lease.detach();
    return lease.owner;
  });
  assert.equal(await bench.redis.get(bench.key), owner);
  assert.equal(await client.release(bench.name, owner), "RELEASED");
});

test("field bug 13: a store that cannot be reached for the release is a warning, and the result is kept", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const warnings = collectWarnings(bench.test);
  const client = bench.client({ commandTimeout: 300 }, relay.url);
  const value = await client.using(bench.name, { ttl: 5_000 }, async () => {
    relay.refuse = true;
    relay.cut();
    return "done";
  });
  assert.equal(value, "done");
  await eventually("the warning", () => warnings.length > 0);
  assert.equal(warnings.length, 1);
  assert.equal(warnings[0]?.code, "LEASELOCK_NOT_RELEASED");
  assert.match(String(warnings[0]?.message), new RegExp(bench.name));

  relay.refuse = false;
  const mine = new Error("mine");
  const failing = client.using(`${bench.name}-2`, { ttl: 5_000 }, async () => {
    relay.refuse = true;
    relay.cut();
    throw mine;
  });
  await assert.rejects(failing, (error) => error === mine);
  await eventually("the second warning", () => warnings.length === 2);
  relay.refuse = false;
});

test("field bug 36: the body does not run when the lock was not taken", async (bench) => {
  const client = bench.client();
  const held = await client.acquire(bench.name);
  let ran = false;
  const body = () => {
    ran = true;
  };
  await assert.rejects(client.using(bench.name, { wait: 50 }, body), LockTimeoutError);
  await assert.rejects(client.using(bench.name, { signal: AbortSignal.abort() }, body), { name: "AbortError" });
  assert.equal(ran, false);
  assert.equal(held.held, true);
});

test("field bug 21: an aborted signal does not keep using from giving the name back", async (bench) => {
  const client = bench.client();
  const controller = new AbortController();
  await client.using(bench.name, { ttl: 5_000, signal: controller.signal }, async (lease) => {
    controller.abort();
    assert.equal(lease.held, true);
    assert.equal(lease.signal.aborted, false);
  });
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("turns on one name never overlap", async (bench) => {
  const clients = [bench.client(), bench.client(), bench.client()];
  let inside = 0;
  let last = 0;
  const turn = async (lease: Lease) => {
    inside += 1;
    assert.equal(inside, 1);
    assert.ok(lease.token > last);
    last = lease.token;
    await sleep(2);
    inside -= 1;
  };
  await Promise.all(Array.from({ length: 60 }, (_, i) => clients[i % 3]?.using(bench.name, { ttl: 5_000 }, turn)));
  assert.equal(await bench.redis.exists(bench.key), 0);
});

it("a body that is no function is a TypeError before anything is sent", async () => {
  const client = new Client("redis://127.0.0.1:1");
  for (const wrong of [undefined, null, 5, "f", {}, Promise.resolve()]) {
    await assert.rejects(client.using("name", {}, wrong as never), { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" });
  }
  await assert.rejects((client.using as (name: string) => Promise<unknown>)("name"), TypeError);
  await client.close();
});
