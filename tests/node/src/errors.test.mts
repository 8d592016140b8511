// The error classes, and what their texts and stacks tell and keep to themselves.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { it } from "node:test";
import { inspect } from "node:util";
import * as leaselock from "leaselock";
import { Client, LeaselockError } from "leaselock";
import { test } from "./support/bench.mjs";
import { CountingListener } from "./support/network.mjs";
import { freePort, OwnServer } from "./support/servers.mjs";

const CODES = {
  InvalidArgumentError: "INVALID_ARGUMENT",
  LockTimeoutError: "LOCK_TIMEOUT",
  LeaseLostError: "LEASE_LOST",
  StoreUnavailableError: "STORE_UNAVAILABLE",
  StoreRefusedError: "STORE_REFUSED",
  ClientClosedError: "CLIENT_CLOSED",
} as const;

it("every class is an Error and a LeaselockError, with its own name and code", () => {
  for (const [name, code] of Object.entries(CODES)) {
    const type = leaselock[name as keyof typeof CODES] as new (message: string) => LeaselockError;
    const error = new type("text");
    assert.ok(error instanceof Error);
    assert.ok(error instanceof LeaselockError);
    assert.equal(error.name, name);
    assert.equal(error.code, code);
    assert.equal(String(error), `${name}: text`);
    assert.match(inspect(error), new RegExp(`^${name}: text\\n`));
    assert.match(inspect(error), new RegExp(`code: '${code}'`));
  }
});

test("field bug 14: not taken, lost, unreachable and refused are told apart", async (bench) => {
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 300 });
  await assert.rejects(client.acquire(bench.name, { wait: 20 }), leaselock.LockTimeoutError);
  await client.forceRelease(bench.name);
  await assert.rejects(lease.extend(), leaselock.LeaseLostError);

  const nobody = new Client(`redis://127.0.0.1:${await freePort()}`, { commandTimeout: 200 });
  await assert.rejects(nobody.acquire(bench.name, { wait: 0 }), leaselock.StoreUnavailableError);
  await nobody.close().catch(() => {});

  await bench.redis.hset(bench.key, "field", "a hash, not a lock");
  await assert.rejects(client.inspect(bench.name), (error: LeaselockError) => {
    assert.ok(error instanceof leaselock.StoreRefusedError);
    assert.match(error.message, /WRONGTYPE/);
    return true;
  });
  await bench.redis.del(bench.key);

  await client.close();
  await assert.rejects(client.acquire(bench.name), leaselock.ClientClosedError);
  await assert.rejects(client.inspect(bench.name), leaselock.ClientClosedError);
});

test("an error's stack names the caller", async (bench) => {
  const client = bench.client();
  bench.keep(await client.acquire(bench.name));
  async function someBusinessFunction() {
    await client.acquire(bench.name, { wait: 10 });
  }
  await assert.rejects(someBusinessFunction(), (error: Error) => /someBusinessFunction/.test(error.stack ?? ""));
});

it("no password in any error, property or inspection, whatever the server does", async (t) => {
  const canary = "s3cr3t-canary";
  const silent = await CountingListener.start();
  t.after(() => silent.stop());
  const rude = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  rude.listen(0, "127.0.0.1");
  await once(rude, "listening");
  t.after(() => rude.close());
  const ports = [silent.port, (rude.address() as { port: number }).port, await freePort()];
  const urls = ports.flatMap((port) => [
    `redis://:${canary}@127.0.0.1:${port}`,
    `redis://user:${canary}@127.0.0.1:${port}/3`,
    `rediss://user:${canary}@127.0.0.1:${port}`,
  ]);
  for (const url of urls) {
    const client = new Client(url, { commandTimeout: 150 });
    keeps(canary, client, Object.entries(client), JSON.stringify(client));
    const [acquired, inspected] = await Promise.allSettled([
      client.acquire("name", { wait: 0 }),
      client.inspect("name"),
    ]);
    assert.equal(acquired.status, "rejected");
    assert.equal(inspected.status, "rejected");
    keeps(canary, acquired.reason, inspected.reason, acquired.reason.stack, JSON.stringify(acquired.reason));
    await client.close().catch((error) => keeps(canary, error));
  }
  const broken = [
    `redis://:${canary}@`,
    `redis://:${canary}@host:port`,
    `redis://:${canary}@host/notanumber`,
    `redis:/:${canary}@host`,
    `http://:${canary}@host`,
    `:${canary}@host`,
    `redis://u:${canary}@h o s t`,
    `redis://host?password=${canary}`,
    `redis://:${canary}\ud800@host`,
  ];
  for (const url of broken) {
    try {
      await new Client(url).close();
    } catch (error) {
      keeps(canary, error, (error as Error).stack);
    }
  }
});

test("no password in the error of a login that is refused", async (bench) => {
  const server = await OwnServer.start(bench.server.binary, "--requirepass", "right");
  bench.test.after(() => server.stop());
  const canary = "wr0ng-canary";
  const url = server.url.replace("redis://", `redis://:${canary}@`);
  const client = bench.client({ commandTimeout: 1_000 }, url);
  await assert.rejects(client.acquire(bench.name), (error: LeaselockError) => {
    assert.ok(error instanceof leaselock.StoreRefusedError);
    assert.match(error.message, /WRONGPASS|invalid/i);
    keeps(canary, error);
    return true;
  });
  const anonymous = bench.client({ commandTimeout: 1_000 }, server.url);
  await assert.rejects(anonymous.acquire(bench.name), leaselock.StoreRefusedError);
});

/** Fails when any of these shows the secret, on the surface or inside. */
function keeps(secret: string, ...values: unknown[]): void {
  const shown = inspect(values, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true });
  assert.ok(!shown.includes(secret), `it shows the password: ${shown}`);
}
