// What users do with objects of a library: extend them, replace their methods, show them, load the library again.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { it, mock } from "node:test";
import { inspect } from "node:util";
import { Client, Lease, LeaseLostError, LeaselockError, LockTimeoutError } from "leaselock";
import { test, unique } from "./support/bench.mjs";
import { eventually } from "./support/servers.mjs";

const URL_OF_A_SECRET = `memory:s3cret-${unique()}`;

class NumberedLease extends Lease {
  constructor(
    lease: Lease,
    readonly number: number,
  ) {
    super(lease);
  }
}

class NumberingClient extends Client {
  #taken = 0;

  override async acquire(...args: Parameters<Client["acquire"]>): Promise<NumberedLease> {
    this.#taken += 1;
    return new NumberedLease(await super.acquire(...args), this.#taken);
  }
}

test("field bug 69: a client and a lease are extended by classes of the user's", async (bench) => {
  const client = new NumberingClient(bench.server.url, { appId: bench.app });
  bench.test.after(() => client.close());
  const number = await client.using(bench.name, (lease) => {
    assert.ok(lease instanceof NumberedLease && lease.held);
    return lease.number;
  });
  assert.equal(number, 1);
  assert.equal(await bench.redis.exists(bench.key), 0);

  const lease = await client.acquire(bench.name);
  const same = new NumberedLease(lease, 7);
  assert.equal(same.signal, lease.signal);
  await client.forceRelease(bench.name);
  assert.equal(await same.release(), false);
  assert.throws(() => new NumberedLease({} as Lease, 1), TypeError);
});

test("field bug 69: a method replaced on one client or lease is what everything calls", async (bench) => {
  const client = bench.client();
  const acquired = mock.method(client, "acquire");
  await client.using(bench.name, async (lease) => {
    const released = mock.method(lease, "release");
    bench.test.after(() => assert.equal(released.mock.callCount(), 1));
  });
  assert.equal(acquired.mock.callCount(), 1);

  const release = mock.fn(async () => true);
  acquired.mock.mockImplementation(async () => ({ name: "fake", release }) as unknown as Lease);
  assert.equal(await client.using(bench.name, ({ name }) => name), "fake");
  await assert.rejects(
    client.using(bench.name, () => Promise.reject(new Error("body"))),
    /body/,
  );
  assert.equal(release.mock.callCount(), 2);
  acquired.mock.restore();
  assert.equal(await client.using(bench.name, ({ held }) => held), true);
});

test("field bug 69: any number of listeners may hear of a loss, without a warning", async (bench) => {
  const warnings: string[] = [];
  const listener = ({ name }: Error) => warnings.push(name);
  process.on("warning", listener);
  bench.test.after(() => process.off("warning", listener));
  const client = bench.client();
  const lease = await client.acquire(bench.name, { ttl: 300 });
  let heard = 0;
  for (let i = 0; i < 30; i += 1) {
    lease.signal.addEventListener("abort", () => {
      heard += 1;
    });
  }
  await client.forceRelease(bench.name);
  await eventually("all hear of it", () => heard === 30);
  assert.ok(lease.signal.reason instanceof LeaseLostError);
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
});

it("field bug 69: a client and a lease show what they are and no secret, wherever they are shown", async () => {
  const client = new NumberingClient(URL_OF_A_SECRET, { appId: "shop" });
  const lease = await client.acquire("orders", { label: "worker-7" });
  const { owner, token } = lease;
  assert.equal(inspect(client), "NumberingClient { appId: 'shop', closed: false }");
  assert.match(inspect(lease), /^NumberedLease \{\s+name: 'orders',\s+owner: 'worker-7:/);
  assert.match(inspect(await new Client(URL_OF_A_SECRET).acquire("other")), /^Lease \{/);
  assert.deepEqual(JSON.parse(JSON.stringify({ client })), { client: { appId: "shop", closed: false } });
  const { expiresIn, ...rest } = JSON.parse(JSON.stringify(lease));
  assert.deepEqual(rest, { name: "orders", owner, token, state: "held", ttl: 30_000 });
  assert.ok(expiresIn <= 30_000);
  const all = [inspect({ client, lease }, { showHidden: true, depth: 9 }), JSON.stringify([client, lease])];
  all.push(inspect(structuredClone([client, lease])), `${client} ${lease}`);
  assert.doesNotMatch(all.join(), /s3cret/);
  // Stubs are made of prototypes.
  for (const { prototype } of [Client, Lease]) {
    assert.equal(typeof inspect(Object.create(prototype)), "string");
    assert.equal(typeof inspect(prototype), "string");
  }
  await client.close();
});

it("field bug 69: an error of the package loaded once is known to the package loaded again", async () => {
  const require = createRequire(import.meta.url);
  const folder = require.resolve("leaselock").replace(/index\.js$/, "");
  for (const file of Object.keys(require.cache)) {
    if (file.startsWith(folder) && file.endsWith(".js")) {
      delete require.cache[file];
    }
  }
  const again = require("leaselock") as typeof import("leaselock");
  assert.notEqual(again.LockTimeoutError, LockTimeoutError);
  const url = `memory:${unique()}`;
  const clients = [new Client(url), new again.Client(url)];
  const lease = await (clients[0] as Client).acquire("name");
  for (const client of clients) {
    const error: unknown = await client.acquire("name", { wait: 5 }).catch((error) => error);
    for (const loaded of [again, { LeaselockError, LockTimeoutError, LeaseLostError }]) {
      assert.ok(error instanceof loaded.LockTimeoutError && error instanceof loaded.LeaselockError);
      assert.ok(!(error instanceof loaded.LeaseLostError));
      class Own extends loaded.LockTimeoutError {}
      assert.ok(!(error instanceof Own) && new Own("own") instanceof Own && new Own("own") instanceof LeaselockError);
    }
  }
  for (const other of [new Error("other"), { code: "LOCK_TIMEOUT" }, null, undefined, "LockTimeoutError"]) {
    assert.ok(!((other as unknown) instanceof LeaselockError));
  }
  await lease.release();
  await Promise.all(clients.map((client) => client.close()));
});
