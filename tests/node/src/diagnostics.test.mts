// The diagnostics channel `leaselock`: losses, failed renewals and reconnects can be learnt of.

import assert from "node:assert/strict";
import { channel } from "node:diagnostics_channel";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import type { LeaselockEvent } from "leaselock";
import { test } from "./support/bench.mjs";
import { Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";

function subscribe(t: TestContext): LeaselockEvent[] {
  const events: LeaselockEvent[] = [];
  const listener = (event: unknown) => {
    events.push(event as LeaselockEvent);
  };
  channel("leaselock").subscribe(listener);
  t.after(() => channel("leaselock").unsubscribe(listener));
  return events;
}

test("a loss is published with its lease and reason", async (bench) => {
  const events = subscribe(bench.test);
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 300 });
  await client.forceRelease(bench.name);
  const event = await eventually("the event", () => events.find((each) => each.event === "lost"));
  const { name, owner, token } = lease;
  const message = "a lease was lost";
  const fields = {
    event: "lost",
    client: client.id,
    app_id: bench.app,
    message,
    name,
    owner,
    token,
    reason: "released",
  };
  assert.deepEqual(JSON.parse(JSON.stringify(event)), fields);
  await sleep(1_100);
  assert.equal(events.filter((each) => each.event === "lost" && each.name === name).length, 1);
});

test("field bug 6: a renewal that fails is published, shows in the state, and ends in the signal", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const events = subscribe(bench.test);
  const client = bench.client({ commandTimeout: 200 }, relay.url);
  const lease = await client.acquire(bench.name, { ttl: 1_500 });
  const { signal } = lease;
  relay.refuse = true;
  relay.cut();
  await eventually("unsure", () => lease.state === "unsure");
  assert.equal(lease.held, true);
  assert.equal(signal.aborted, false);
  const event = await eventually("the event", () => events.find((each) => each.event === "renew_failed"));
  assert.ok("error" in event && event.client.length > 0 && (event.error ?? "").length > 0);
  assert.ok(client.stats().renewFailures > 0);

  relay.refuse = false;
  await eventually("held again", () => lease.state === "held");
  await eventually("the reconnect", () => events.find((each) => each.event === "reconnect"));
  assert.ok(client.stats().reconnects > 0);

  relay.refuse = true;
  relay.cut();
  await eventually("the signal is aborted", () => signal.aborted);
  assert.equal(lease.state, "lost");
  relay.refuse = false;
});

test("field bug 64: a wait of 5 s is published once, with the holder and whether that is this process", async (bench) => {
  const events = subscribe(bench.test);
  const folder = await mkdtemp(join(tmpdir(), "leaselock-waits-"));
  bench.test.after(() => rm(folder, { recursive: true }));
  const urls = [bench.server.url, `file:${folder}/locks.db`, `memory:${bench.name}`];
  const waits = urls.map(async (url, number) => {
    const name = `${bench.name}-${number}`;
    const [outer, inner] = [bench.client({}, url), bench.client({}, url)];
    const lease = await outer.acquire(name, { label: "outer" });
    await Promise.all([
      assert.rejects(inner.acquire(name, { label: "short", wait: 5_000 }), { code: "LOCK_TIMEOUT" }),
      assert.rejects(inner.acquire(name, { label: "inner", wait: 11_000 }), { code: "LOCK_TIMEOUT" }),
    ]);
    const told = events.filter((event) => event.event === "waiting").filter((event) => event.name === name);
    assert.equal(told.length, 1, inspect(told));
    assert.equal(told[0]?.holder, lease.owner);
    assert.equal(told[0]?.this_process, true);
    assert.match(told[0]?.owner ?? "", /^inner:/);
    assert.match(told[0]?.message ?? "", /re-entrant/);
    assert.match(told[0]?.waited ?? "", /^5\.\d s$/);
    await lease.release();
  });
  await Promise.all(waits);
});

test("no password in what is published", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  const events = subscribe(bench.test);
  const canary = "c4nary-password";
  await bench.redis.call("ACL", "SETUSER", "canary", "on", `>${canary}`, "~*", "&*", "+@all");
  bench.test.after(() => bench.redis.call("ACL", "DELUSER", "canary").catch(() => {}));
  const client = bench.client({ commandTimeout: 200 }, relay.url.replace("redis://", `redis://canary:${canary}@`));
  const lease = await client.acquire(bench.name, { ttl: 900 });
  relay.refuse = true;
  relay.cut();
  await eventually("failures and a loss", () => events.some(({ event }) => event === "lost"));
  relay.refuse = false;
  assert.equal(lease.state, "lost");
  assert.ok(!inspect(events, { depth: 9 }).includes(canary));
});
