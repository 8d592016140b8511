// Metrics for Prometheus, as a scrape shows them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";
import { family, instrument } from "leaselock/prometheus";
import { Registry } from "prom-client";

/** Samples of one app id, by name and labels. */
function samples(text: string, appId: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name, labels, value] = /^([a-z_]+)\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (name && labels?.includes(`app_id="${appId}"`)) {
      const others = labels.split(",").filter((label) => !label.startsWith("app_id="));
      found.set(`${name} ${others.sort().join(" ").replaceAll('"', "")}`, Number(value));
    }
  }
  return found;
}

test("the figures of a scrape", async () => {
  const registry = new Registry();
  const stop = instrument({ registry });
  const appId = randomUUID();
  const client = new Client(`memory:${appId}`, { appId });
  const held = await client.acquire("order:1");
  for (let n = 0; n < 3; n += 1) {
    assert.equal(await client.tryAcquire("order:1"), null);
  }
  await assert.rejects(client.acquire("order:1", { wait: 200 }), { code: "LOCK_TIMEOUT" });
  const waiter = client.acquire("order:1");
  await sleep(200);
  const now = samples(await registry.metrics(), appId);
  assert.equal(now.get("leaselock_held lock=order:*"), 1);
  assert.equal(now.get("leaselock_waiting lock=order:*"), 1);
  await held.release();
  await (await waiter).release();
  const lost = await client.acquire("order:2", { ttl: 100, renew: false });
  await sleep(200);
  assert.equal(lost.held, false);
  await client.using("order:3", { ttl: 300 }, () => sleep(250));
  await client.close();
  const end = samples(await registry.metrics(), appId);
  assert.equal(end.get("leaselock_acquire_seconds_count lock=order:* outcome=acquired"), 4);
  assert.equal(end.get("leaselock_acquire_seconds_count lock=order:* outcome=busy"), 3);
  assert.equal(end.get("leaselock_acquire_seconds_count lock=order:* outcome=timed_out"), 1);
  const waited = end.get("leaselock_acquire_seconds_sum lock=order:* outcome=timed_out") ?? 0;
  assert.ok(waited >= 0.2 && waited < 2, String(waited));
  assert.equal(end.get("leaselock_acquire_seconds_bucket le=0.1 lock=order:* outcome=timed_out"), 0);
  assert.equal(end.get("leaselock_acquire_seconds_bucket le=+Inf lock=order:* outcome=timed_out"), 1);
  assert.equal(end.get("leaselock_hold_seconds_count lock=order:*"), 4);
  assert.equal(end.get("leaselock_contended_total lock=order:*"), 1);
  assert.equal(end.get("leaselock_lost_total lock=order:* reason=expired"), 1);
  assert.ok((end.get("leaselock_renewed_total lock=order:*") ?? 0) >= 1);
  assert.equal(end.get("leaselock_held lock=order:*"), 0);
  assert.equal(end.get("leaselock_waiting lock=order:*"), 0);
  stop();
  assert.equal((await registry.metrics()).trim(), "");
});

test("labels are few, however many names there are", async () => {
  const registry = new Registry();
  const stop = instrument({ registry, label: (name) => name });
  const appId = randomUUID();
  const client = new Client(`memory:${appId}`, { appId });
  for (let n = 0; n < 300; n += 1) {
    await (await client.acquire(`name-${n}`)).release();
  }
  await client.close();
  const counts = [...samples(await registry.metrics(), appId)].filter(([key]) =>
    key.startsWith("leaselock_hold_seconds_count"),
  );
  stop();
  assert.ok(counts.length <= 101, String(counts.length));
  assert.equal(
    counts.reduce((sum, [, value]) => sum + value, 0),
    300,
  );
});

test("what names of one kind have in common", () => {
  const pairs = { "order:42": "order:*", "nightly-report": "nightly-report", "job-7": "job-*", "a/b/c": "a/*" };
  const more = { "repo#12": "repo#*", "2024-01": "*", "naïve:x": "naïve:*", x٣: "x*" };
  for (const [name, label] of Object.entries({ ...pairs, ...more })) {
    assert.equal(family(name), label);
  }
});
