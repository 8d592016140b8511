// Leading in Node: what signals and promises make special. The rest is in the scenarios.

import assert from "node:assert/strict";
import { channel } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { ClientClosedError, type Lease, LeaseLostError, type LeaselockEvent } from "leaselock";
import { test } from "./support/bench.mjs";
import { Relay } from "./support/network.mjs";
import { eventually } from "./support/servers.mjs";

test("a loss aborts the signal, the work is awaited, and leads again", async (bench) => {
  const client = bench.client();
  const other = bench.client();
  const said: string[] = [];
  const led = await client.lead(bench.name, { ttl: 600 }, async (lease) => {
    said.push(`begins ${lease.held}`);
    if (said.length === 1) {
      sleep(200).then(() => other.forceRelease(bench.name));
      await sleep(60_000, undefined, { signal: lease.signal }).catch(async (error) => {
        await sleep(300);
        said.push(`cleaned up ${lease.signal.reason.name}`);
        throw error;
      });
    }
    return said.length;
  });
  assert.equal(led, 3);
  assert.deepEqual(said, ["begins true", "cleaned up LeaseLostError", "begins true"]);
  assert.equal(await client.inspect(bench.name), null);
});

const ends: Record<string, (lease: Lease) => unknown> = {
  "returns all the same": () => "late",
  "throws the reason": (lease) => lease.signal.throwIfAborted(),
  "throws what check() does": (lease) => lease.check(),
  "throws an error whose cause is the reason": (lease) => {
    throw new Error("gave up", { cause: lease.signal.reason });
  },
};

for (const [how, end] of Object.entries(ends)) {
  test(`after a loss the work that ${how} leads again`, async (bench) => {
    const client = bench.client();
    let terms = 0;
    const led = await client.lead(bench.name, { ttl: 600 }, async (lease) => {
      terms += 1;
      if (terms === 1) {
        await client.forceRelease(bench.name);
        await eventually("lost", () => lease.signal.aborted);
        return end(lease);
      }
      return terms;
    });
    assert.equal(led, 2);
  });
}

test("any other error after a loss is the caller's", async (bench) => {
  const client = bench.client();
  const leading = client.lead(bench.name, { ttl: 600 }, async (lease) => {
    await client.forceRelease(bench.name);
    await eventually("lost", () => lease.signal.aborted);
    throw new RangeError("own");
  });
  await assert.rejects(leading, RangeError);
});

test("the loss of another lease is the caller's", async (bench) => {
  const client = bench.client();
  const leading = client.lead(bench.name, async () => {
    await client.using(`${bench.name}-too`, { ttl: 600 }, async (inner) => {
      await client.forceRelease(inner.name);
      await eventually("lost", () => inner.signal.aborted);
    });
  });
  await assert.rejects(leading, LeaseLostError);
  assert.equal(await client.inspect(bench.name), null);
});

test("a signal that is aborted ends the work, and the name is given back after it", async (bench) => {
  const client = bench.client();
  const stopping = new AbortController();
  const reason = new Error("enough");
  let held: boolean | undefined;
  const leading = client.lead(bench.name, { signal: stopping.signal }, async (lease) => {
    setTimeout(() => stopping.abort(reason), 50);
    await sleep(60_000, undefined, { signal: lease.signal }).catch(() => {});
    await sleep(100);
    held = lease.held;
    return "late";
  });
  await assert.rejects(leading, reason);
  assert.equal(held, true);
  assert.equal(await client.inspect(bench.name), null);
});

test("a signal that is aborted ends the waiting", async (bench) => {
  const client = bench.client();
  await using _ = await bench.client().acquire(bench.name);
  const signal = AbortSignal.timeout(100);
  await assert.rejects(
    client.lead(bench.name, { signal }, () => assert.fail("it leads")),
    { name: "TimeoutError" },
  );
  await assert.rejects(
    client.lead(bench.name, { signal }, () => assert.fail("it leads")),
    { name: "TimeoutError" },
  );
  await eventually("nobody waits", async () => (await client.inspect(bench.name))?.waiters === 0);
});

test("closing the client aborts the signal", async (bench) => {
  const client = bench.client();
  let reason: unknown;
  const leading = client.lead(bench.name, async (lease) => {
    setTimeout(() => client.close(), 50);
    await sleep(60_000, undefined, { signal: lease.signal }).catch(() => {});
    reason = lease.signal.reason;
    return "late";
  });
  await assert.rejects(leading, ClientClosedError);
  assert.ok(reason instanceof ClientClosedError);
  assert.equal(await bench.client().inspect(bench.name), null);
});

test("a store that cannot be reached is tried again, and told once", async (bench) => {
  const relay = await Relay.start(bench.server.url);
  bench.test.after(() => relay.stop());
  relay.refuse = true;
  const events: LeaselockEvent[] = [];
  const listener = (event: unknown) => events.push(event as LeaselockEvent);
  channel("leaselock").subscribe(listener);
  bench.test.after(() => channel("leaselock").unsubscribe(listener));
  const client = bench.client({ commandTimeout: 300 }, relay.url);
  setTimeout(() => {
    relay.refuse = false;
  }, 1_500);
  assert.equal(await client.lead(bench.name, ({ held }) => held), true);
  const told = events.filter(({ event }) => event === "lead_failed");
  assert.equal(told.length, 1);
  assert.ok(told[0]?.event === "lead_failed" && told[0].name === bench.name && told[0].client === client.id);
});

test("options that make no sense are refused before anything is sent", async (bench) => {
  const client = bench.client();
  const lead = client.lead.bind(client) as (...given: unknown[]) => Promise<unknown>;
  await assert.rejects(
    lead(bench.name, { renew: false }, () => {}),
    { code: "ERR_UNKNOWN_OPTION" },
  );
  await assert.rejects(
    lead(bench.name, { wait: 1 }, () => {}),
    /it knows ttl, maxHold, label, signal/,
  );
  await assert.rejects(
    lead(bench.name, { permits: 2 }, () => {}),
    { code: "ERR_UNKNOWN_OPTION" },
  );
  await assert.rejects(lead(bench.name, {}), /the work of lead must be a function/);
  await assert.rejects(
    lead(bench.name, { signal: 1 }, () => {}),
    TypeError,
  );
  assert.equal(client.stats().acquired, 0);
});
