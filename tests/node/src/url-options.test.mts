// What a URL says after `?` is obeyed or refused, never dropped.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test as nodeTest } from "node:test";
import { Client, InvalidArgumentError } from "leaselock";
import { type Bench, test } from "./support/bench.mjs";
import { eventually, freePort, OwnServer, plainRedis } from "./support/servers.mjs";
import { here } from "./support/subprocess.mjs";

/** Often enough for every connection that a client may have. */
const OFTEN = 25;

async function serverOf(bench: Bench) {
  const server = await OwnServer.start(bench.server.binary);
  const redis = plainRedis(server.url);
  bench.test.after(async () => {
    redis.disconnect();
    await server.stop();
  });
  return { server, redis };
}

test("field bug 43: the database is the one asked for", async (bench) => {
  const { server, redis } = await serverOf(bench);
  const other = plainRedis(`${server.url}/2`);
  bench.test.after(() => other.disconnect());
  for (const more of ["?db=2", "/2?db=2"]) {
    const client = bench.client({}, server.url + more);
    for (let time = 0; time < OFTEN; time += 1) {
      const lease = await client.acquire(bench.name);
      assert.equal(await redis.dbsize(), 0);
      assert.equal(await other.exists(bench.key), 1);
      assert.equal(await lease.release(), true);
    }
  }
});

nodeTest("field bug 43: what cannot be obeyed is refused", () => {
  for (const [url, named] of [
    ["redis://localhost/1?db=2", "db"],
    ["redis://user:c4nary@localhost?foo=c4nary", "foo"],
    ["redis://localhost?password=c4nary", "password"],
    ["rediss://localhost?ssl_cert_reqs=none", "tls_insecure_skip_verify=true"],
    ["redis://localhost?tls_ca=/tmp/ca.pem", "tls_ca"],
    ["rediss://localhost?tls_cert=/tmp/cert.pem", "tls_key"],
  ] as const) {
    assert.throws(
      () => new Client(url),
      (error) => {
        assert.ok(error instanceof InvalidArgumentError, `${url}: ${error}`);
        assert.ok(error.message.includes(named), error.message);
        assert.ok(!`${error} ${error.stack}`.includes("c4nary"), error.message);
        return true;
      },
    );
  }
});

/** The certificates of tests/certs.py, in a folder whose name has to be encoded. */
function certificates(bench: Bench): string {
  const folder = mkdtempSync(join(tmpdir(), "leaselock node certs-"));
  bench.test.after(() => rmSync(folder, { recursive: true }));
  execFileSync("python3", [resolve(here, "../../../certs.py"), folder]);
  return folder;
}

/** A server that speaks TLS and no plain text, or nothing where the binary does not. */
async function tlsServer(bench: Bench, folder: string, cert: string, authClients: string): Promise<string | undefined> {
  if (bench.server.name !== "redis") {
    bench.test.skip("the Valkey of the tests speaks no TLS");
    return undefined;
  }
  const port = await freePort();
  const files = ["--tls-ca-cert-file", "ca.crt", "--tls-cert-file", `${cert}.crt`, "--tls-key-file", `${cert}.key`];
  const options = files.map((word) => (word.startsWith("--") ? word : join(folder, word)));
  const more = ["--tls-port", `${port}`, "--tls-auth-clients", authClients];
  const server = await OwnServer.start(bench.server.binary, ...more, ...options);
  bench.test.after(() => server.stop());
  return `rediss://localhost:${port}`;
}

for (const spelling of [
  ["tls_ca", "tls_cert", "tls_key"],
  ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"],
]) {
  test(`field bug 43: certificates are named in the url, by ${spelling}`, async (bench) => {
    const folder = certificates(bench);
    const url = await tlsServer(bench, folder, "good", "yes");
    if (url === undefined) {
      return;
    }
    const files = ["ca.crt", "client.crt", "client.key"];
    const query = spelling.map((option, at) => `${option}=${encodeURIComponent(join(folder, files[at] ?? ""))}`);
    const client = bench.client({}, `${url}?${query.join("&")}`);
    for (let time = 0; time < OFTEN; time += 1) {
      assert.equal(await (await client.acquire(bench.name)).release(), true);
    }
  });
}

test("field bug 43: not to verify is said out loud", async (bench) => {
  const url = await tlsServer(bench, certificates(bench), "stranger", "no");
  if (url === undefined) {
    return;
  }
  const client = bench.client({}, `${url}?tls_insecure_skip_verify=true`);
  assert.equal(await (await client.acquire(bench.name)).release(), true);
});

test("field bug 43: a prefix stands before every key and channel", async (bench) => {
  const { server, redis } = await serverOf(bench);
  const reach = ["~myteam:*", "~{myteam:*", "&myteam:*", "+@all"];
  await redis.call("ACL", "SETUSER", "team", "on", ">secret", ...reach);
  const url = `${server.url.replace("//", "//team:secret@")}?key_prefix=myteam%3A`;
  const client = bench.client({}, url);
  const without = bench.client({}, server.url);
  for (let time = 0; time < OFTEN; time += 1) {
    assert.equal(await (await client.acquire(bench.name)).release(), true);
  }
  const held = await client.acquire(bench.name, { ttl: 20_000 });
  assert.equal(await redis.exists(`myteam:${bench.key}`), 1);
  // Nobody else's lock, and nobody else sees it.
  const other = await without.tryAcquire(bench.name);
  assert.equal(await other?.release(), true);
  for await (const found of without.locks("*")) {
    assert.fail(found.name);
  }
  const seen: string[] = [];
  for await (const found of client.locks("*")) {
    seen.push(found.name, found.owner);
  }
  assert.deepEqual(seen, [bench.name, held.owner]);
  const waiting = client.acquire(bench.name, { wait: 10_000 });
  await eventually("it waits", async () => (await redis.exists(`{myteam:${bench.key}}||||queue`)) === 1);
  const found = await client.inspect(bench.name);
  assert.deepEqual([found?.name, found?.owner, found?.waiters], [bench.name, held.owner, 1]);
  assert.equal(await held.release(), true);
  assert.equal(await (await waiting).release(), true);
});
