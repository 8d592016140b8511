// `await using`: leases and clients are given back at the end of their block.

import assert from "node:assert/strict";
import { Client, LeaseLostError } from "leaselock";
import { test } from "./support/bench.mjs";
import { Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";
import { collectWarnings } from "./support/warnings.mjs";

test("a lease is given back at the end of its block", async (bench) => {
  const client = bench.client();
  {
    await using lease = await client.acquire(bench.name);
    assert.equal(await bench.redis.get(bench.key), lease.owner);
  }
  assert.equal(await bench.redis.exists(bench.key), 0);
  {
    await using lease = await client.tryAcquire(bench.name);
    await using second = await client.tryAcquire(bench.name);
    assert.ok(lease);
    assert.equal(second, null);
  }
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("a client gives back its leases at the end of its block", async (bench) => {
  let lease: Awaited<ReturnType<Client["acquire"]>>;
  {
    await using client = new Client(bench.server.url, { appId: bench.app });
    lease = await client.acquire(bench.name);
  }
  assert.equal(lease.held, false);
  assert.equal(await bench.redis.exists(bench.key), 0);
});

test("the error of the block wins, and a loss is suppressed under it", async (bench) => {
  const client = bench.client();
  const mine = new Error("mine");
  await assert.rejects(
    async () => {
      await using lease = await client.acquire(bench.name, { ttl: 300 });
      throw Object.assign(mine, { held: lease.held });
    },
    (error) => error === mine,
  );

  await assert.rejects(
    async () => {
      await using lease = await client.acquire(bench.name, { ttl: 300 });
      await client.forceRelease(bench.name);
      await eventually("the loss is known", () => lease.signal.aborted);
      throw mine;
    },
    (error) => {
      // The language, not this library, puts both into one.
      const both = error as { error: unknown; suppressed: unknown };
      assert.ok(both.error instanceof LeaseLostError);
      assert.equal(both.suppressed, mine);
      return true;
    },
  );
});

test("a loss alone is the LeaseLostError", async (bench) => {
  const client = bench.client();
  await assert.rejects(async () => {
    await using lease = await client.acquire(bench.name, { ttl: 300 });
    await client.forceRelease(bench.name);
    await eventually("the loss is known", () => lease.signal.aborted);
  }, LeaseLostError);
});

test("a store that cannot be reached at the end of a block is a warning", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const warnings = collectWarnings(bench.test);
  const client = bench.client({ commandTimeout: 300 }, relay.url);
  {
    await using lease = await client.acquire(bench.name, { ttl: 5_000 });
    assert.equal(lease.held, true);
    relay.refuse = true;
    relay.cut();
  }
  await eventually("the warning", () => warnings.length === 1);
});

test("a client that cannot tell its store at the end of a block is a warning", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const warnings = collectWarnings(bench.test);
  let acquiring: Promise<unknown>;
  {
    await using client = new Client(relay.url, { appId: bench.app, commandTimeout: 300 });
    await client.inspect(bench.name);
    relay.dropReplies = () => true;
    // Whether it was taken nobody knows, so that undoing it is tried for longer than closing may last.
    acquiring = client.acquire(bench.name, { ttl: 5_000 });
    acquiring.catch(() => {});
  }
  await assert.rejects(acquiring, { code: "CLIENT_CLOSED" });
  await eventually("the warning", () => warnings.length === 1);
  assert.equal(warnings[0]?.code, "LEASELOCK_NOT_RELEASED");
});
