// Tests of code that takes locks: each has a store of its own in memory, and none needs a server.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Client } from "leaselock";

/** The code under test. */
async function writeReport(client) {
  const lease = await client.tryAcquire("nightly-report");
  if (lease === null) return "another is at it";
  await lease.release();
  return "written";
}

let client;
beforeEach((t) => {
  client = new Client(`memory:${t.name}`);
  t.after(() => client.close());
});

test("the report is written", async () => {
  assert.equal(await writeReport(client), "written");
});

test("not while another is at it", async () => {
  await client.using("nightly-report", async () => {
    assert.equal(await writeReport(client), "another is at it");
  });
  assert.equal(await writeReport(client), "written");
});
