// How a client is let in: what a URL says, said in options; and a function that gives the credentials.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test as nodeTest } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { Client, type ClientOptions, InvalidArgumentError, StoreRefusedError, StoreUnavailableError } from "leaselock";
import { type Bench, test } from "./support/bench.mjs";
import { eventually, freePort, OwnServer, plainRedis } from "./support/servers.mjs";
import { here } from "./support/subprocess.mjs";

const give = () => ({ username: "worker", password: "secret" });

nodeTest("what is said twice or cannot be obeyed is refused, in the words of this language", () => {
  for (const [url, options, words] of [
    ["rediss://localhost?tls_ca=/a.pem", { tls: { ca: "/b.pem" } }, ["tls.ca", "differ"]],
    ["rediss://localhost?ssl_certfile=/a.pem", { tls: { cert: "/b.pem" } }, ["tls.cert", "differ"]],
    [
      "rediss://localhost?tls_insecure_skip_verify=true",
      { tls: { insecureSkipVerify: false } },
      ["tls.insecureSkipVerify", "differ"],
    ],
    ["redis://localhost?key_prefix=a", { keyPrefix: "b" }, ["keyPrefix", "differ"]],
    ["redis://localhost", { tls: { ca: "/a.pem" } }, ["tls.ca", "rediss://"]],
    ["rediss://localhost", { tls: { cert: "/a.pem" } }, ["tls_key"]],
    ["rediss://localhost", { tls: { ca: "-----BEGIN CERTIFICATE-----\nc4nary" } }, ["tls.ca", "path"]],
    ["memory:access", { tls: { key: "/a.pem" } }, ["tls.key", "memory:"]],
    ["file:/tmp/access.db", { keyPrefix: "a" }, ["keyPrefix", "file:"]],
    ["redis://localhost?replicas=1", { replicas: 2 }, ["replicas", "differ"]],
    ["redis://localhost", { replicas: -1 }, ["replicas", "-1", "whole number"]],
    ["redis://localhost", { replicas: 1.5 }, ["replicas", "1.5", "whole number"]],
    ["redis://localhost", { replicas: Number.NaN }, ["replicas", "NaN", "whole number"]],
    ["memory:access", { replicas: 1 }, ["replicas", "memory:"]],
    ["redis://localhost", { addressMap: { "a:1": "b:2" } }, ["addressMap", "announce"]],
    ["redis+cluster://localhost", { addressMap: new Map([["a:1", "b"]]) }, ["addressMap", '"b"']],
    ["file:/tmp/access.db", { addressMap: { "a:1": "b:2" } }, ["addressMap", "file:"]],
    ["memory:access", { credentials: give }, ["credentials", "memory:"]],
    ["redis://:c4nary@localhost", { credentials: give }, ["credentials", "URL"]],
    ["redis://u:c4nary/x@localhost", {}, ["%2F"]],
    ["redis://u:c4nary#x@localhost", {}, ["%23"]],
    ["redis://u:c4n@ry#x@localhost", {}, ["%40", "%23"]],
  ] as [string, ClientOptions, string[]][]) {
    assert.throws(
      () => new Client(url, options),
      (error) => {
        assert.ok(error instanceof InvalidArgumentError, `${url}: ${error}`);
        assert.ok(
          words.every((word) => error.message.includes(word)),
          error.message,
        );
        assert.ok(!inspect(error).includes("c4n"), error.message);
        return true;
      },
    );
  }
});

nodeTest("a value of the wrong type, and an option that is misspelt, are TypeErrors", () => {
  for (const options of [
    { tls: true },
    { tls: null },
    { tls: { ca: 1 } },
    { tls: { cert: Buffer.from("x") } },
    { tls: { insecureSkipVerify: "true" } },
    { tls: { rejectUnauthorized: false } },
    { keyPrefix: 1 },
    { replicas: true },
    { replicas: "1" },
    { addressMap: "a:1" },
    { addressMap: null },
    { addressMap: [["a:1", "b:1"]] },
    { addressMap: { "a:1": 1 } },
    { addressMap: new Map([[1, "a:1"]]) },
    { credentials: "secret" },
    { credentials: give() },
  ]) {
    assert.throws(() => new Client("rediss://localhost", options as unknown as ClientOptions), TypeError);
  }
});

async function guarded(bench: Bench) {
  const server = await OwnServer.start(bench.server.binary);
  const redis = plainRedis(server.url);
  bench.test.after(async () => {
    redis.disconnect();
    await server.stop();
  });
  await redis.call("ACL", "SETUSER", "worker", "on", ">secret", "~lock||*", "~{lock||*", "&lock||*", "+@all");
  return { server, redis };
}

test("certificates and a prefix are obeyed", async (bench) => {
  if (bench.server.name !== "redis") {
    bench.test.skip("the Valkey of the tests speaks no TLS");
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "leaselock-node-access-"));
  bench.test.after(() => rmSync(folder, { recursive: true }));
  execFileSync("python3", [resolve(here, "../../../certs.py"), folder]);
  const file = (name: string) => join(folder, name);
  const port = await freePort();
  const files = ["--tls-ca-cert-file", file("ca.crt"), "--tls-cert-file", file("good.crt")];
  const more = ["--tls-key-file", file("good.key"), "--tls-port", `${port}`, "--tls-auth-clients", "yes"];
  const server = await OwnServer.start(bench.server.binary, ...files, ...more);
  bench.test.after(() => server.stop());
  const url = `rediss://localhost:${port}`;
  const tls = { ca: file("ca.crt"), cert: file("client.crt"), key: file("client.key") };
  const client = bench.client({ tls, keyPrefix: "team:" }, url);
  for (let time = 0; time < 25; time += 1) {
    assert.equal(await (await client.acquire(bench.name)).release(), true);
  }
  const without = bench.client({ tls: { ca: file("ca.crt") } }, url);
  await assert.rejects(without.acquire(bench.name), (error) => {
    assert.ok(error instanceof StoreRefusedError, `${error}`);
    assert.match(error.message, /client's certificate/);
    return true;
  });
});

nodeTest("addresses are mapped by an object or a Map, of any realm", () => {
  const addresses = { "10.0.0.7:6379": "localhost:7001" };
  const strange = runInNewContext("new Map(pairs)", { pairs: Object.entries(addresses) });
  for (const addressMap of [addresses, new Map(Object.entries(addresses)), strange]) {
    new Client("redis+cluster://localhost", { addressMap });
  }
  new Client("redis://localhost", { addressMap: {}, replicas: 0 });
});

test("a lock counts when replicas have it", async (bench) => {
  const server = await OwnServer.start(bench.server.binary);
  const redis = plainRedis(server.url);
  bench.test.after(async () => {
    redis.disconnect();
    await server.stop();
  });
  const client = bench.client({ replicas: 1, commandTimeout: 2_000 }, server.url);
  await assert.rejects(client.acquire(bench.name), (error) => {
    assert.ok(error instanceof StoreUnavailableError, `${error}`);
    assert.match(error.message, /0 of 1 replicas confirmed/);
    return true;
  });
  const port = new URL(server.url).port;
  const replica = await OwnServer.start(bench.server.binary, "--replicaof", "127.0.0.1", port);
  bench.test.after(() => replica.stop());
  const copy = plainRedis(replica.url);
  bench.test.after(() => copy.disconnect());
  await redis.set("probe", "x");
  await eventually("in touch", async () => (await copy.exists("probe")) === 1, 20_000);
  // By every connection there may be.
  for (let time = 0; time < 30; time += 1) {
    const lease = await client.acquire(bench.name);
    assert.equal(await copy.get(`lock||${bench.app}||${bench.name}`), lease.owner);
    assert.equal(await lease.release(), true);
  }
});

for (const [kind, credentials] of [
  ["a function", give],
  ["an async function", async () => give()],
  ["a function without a user", async () => ({ password: "of the default user" })],
] as const) {
  test(`every connection is logged in by ${kind}`, async (bench) => {
    const { server, redis } = await guarded(bench);
    await redis.call("CONFIG", "SET", "requirepass", "of the default user");
    let asked = 0;
    const counted = () => {
      asked += 1;
      return credentials();
    };
    const client = bench.client({ credentials: counted }, server.url);
    for (let time = 0; time < 25; time += 1) {
      assert.equal(await (await client.acquire(bench.name)).release(), true);
    }
    assert.ok(asked >= 1 && asked < 10, `${asked}`);
  });
}

test("a password that changes costs no lease", async (bench) => {
  const { server, redis } = await guarded(bench);
  let password = "secret";
  let asked = 0;
  const credentials = async () => {
    asked += 1;
    await sleep(5);
    return { username: "worker", password };
  };
  const client = bench.client({ credentials }, server.url);
  const leases = [];
  for (let n = 0; n < 100; n += 1) {
    leases.push(bench.keep(await client.acquire(`${bench.name}-${n}`, { ttl: 6_000 })));
  }
  for (let change = 0; change < 3; change += 1) {
    const before = asked;
    await redis.call("ACL", "SETUSER", "worker", `>secret-${change}`);
    password = `secret-${change}`;
    await redis.call("ACL", "SETUSER", "worker", "resetpass", `>secret-${change}`);
    await redis.call("CLIENT", "KILL", "USER", "worker");
    assert.equal(await (await client.acquire(`${bench.name}-new`, { wait: 10_000 })).release(), true);
    assert.ok(asked > before);
    await sleep(2_500);
  }
  for (const lease of leases) {
    lease.check();
    assert.equal(await lease.release(), true);
  }
  assert.equal(client.stats().lost, 0);
});

test("what the function throws, or is no credentials, is the cause", async (bench) => {
  const own = new RangeError("c4nary");
  for (const [credentials, cause] of [
    [
      () => {
        throw own;
      },
      RangeError,
    ],
    [async () => Promise.reject(own), RangeError],
    [() => undefined, TypeError],
    [() => ({ username: "u" }), TypeError],
    [() => ({ username: 1, password: "c4nary" }), TypeError],
  ] as [never, typeof Error][]) {
    const client = bench.client({ credentials, commandTimeout: 500 });
    await assert.rejects(client.acquire(bench.name), (error) => {
      assert.ok(error instanceof StoreUnavailableError, `${error}`);
      assert.match(error.message, /credentials/);
      assert.ok(error.cause instanceof cause, inspect(error.cause));
      assert.ok(!error.message.includes("c4nary"));
      assert.ok(!Object.keys(error).includes("cause"));
      return true;
    });
  }
});

test("wrong credentials are refused and not shown", async (bench) => {
  const { server } = await guarded(bench);
  const client = bench.client({ credentials: () => ({ username: "worker", password: "c4nary" }) }, server.url);
  await assert.rejects(client.acquire(bench.name), (error) => {
    assert.ok(error instanceof StoreRefusedError, `${error}`);
    assert.match(error.message, /the function of credentials/);
    assert.ok(!inspect([error, client]).includes("c4nary"));
    return true;
  });
});

test("a function that hangs is given up, closed or not, and asked again", async (bench) => {
  let asked = 0;
  const credentials = () => {
    asked += 1;
    return new Promise<never>(() => {});
  };
  const client = bench.client({ credentials, commandTimeout: 700 });
  const begun = performance.now();
  await assert.rejects(client.acquire(bench.name), /credentials/);
  const waiting = client.acquire(bench.name).catch((error: Error) => error);
  await client.close().catch(() => {});
  assert.ok((await waiting) instanceof Error);
  assert.ok(performance.now() - begun < 20_000);
  assert.ok(asked >= 2);
});

test("a worker that ends while its function is asked leaves nothing behind", async (bench) => {
  const entry = createRequire(import.meta.url).resolve("leaselock");
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Client } = require(workerData.entry);
    const credentials = () => { parentPort.postMessage("asked"); return new Promise(() => {}); };
    new Client(workerData.url, { credentials }).acquire(workerData.name).catch(() => {});
  `;
  for (let time = 0; time < 5; time += 1) {
    const workerData = { entry, url: bench.server.url, name: bench.name };
    const worker = new Worker(source, { eval: true, workerData });
    await once(worker, "message");
    await worker.terminate();
  }
  const lease = await bench.client().tryAcquire(bench.name);
  assert.equal(await lease?.release(), true);
});

test("a function is let go with its client", async (bench) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { server } = await guarded(bench);
  let kept: WeakRef<() => unknown> | undefined;
  await (async () => {
    const credentials = () => give();
    kept = new WeakRef(credentials);
    const client = new Client(server.url, { credentials });
    assert.equal(await (await client.acquire(bench.name)).release(), true);
    await client.close();
  })();
  await eventually("it is collected", async () => {
    collect();
    await sleep(10);
    return kept?.deref() === undefined;
  });
});
