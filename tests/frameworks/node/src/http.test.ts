// The recipes for Express and Fastify, as their page has them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";
import { REDIS_URL } from "./beats.js";
import { type Child, eventually, start, unique, version } from "./children.js";

/** The example, which listens: it and how to ask it for a checkout. */
async function serve(t: TestContext, program: string, LEASELOCK_URL = REDIS_URL) {
  const LEASELOCK_APP_ID = unique();
  const child: Child = start(t, program, { PORT: "0", LEASELOCK_URL, LEASELOCK_APP_ID });
  const port = await eventually("it listens", () => /listens at port (\d+)/.exec(child.output())?.[1]);
  const client = new Client(REDIS_URL, { appId: LEASELOCK_APP_ID });
  t.after(() => client.close());
  const checkout = async (cart: number, signal?: AbortSignal) => {
    const path = `/carts/${cart}/checkout`;
    // A connection for each, which no server has to wait for at its end.
    const asked = request({ port, path, method: "POST", agent: false, ...(signal ? { signal } : {}) }).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    return {
      status: response.statusCode,
      after: response.headers["retry-after"],
      body: JSON.parse(await text(response)),
    };
  };
  const free = () => eventually("it is free", async () => (await client.inspect("cart-7")) === null, 3_000);
  return { child, client, checkout, free };
}

/** The server by a link on which answers take longer, in milliseconds: its URL. */
async function slowly(t: TestContext, delay: number): Promise<string> {
  const { hostname, port } = new URL(REDIS_URL);
  const link = createServer((near) => {
    const far = connect(Number(port), hostname);
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
    near.pipe(far);
    far.on("data", (bytes) => setTimeout(() => near.writable && near.write(bytes), delay));
  });
  link.listen(0, "127.0.0.1");
  await once(link, "listening");
  t.after(() => link.close());
  return `redis://127.0.0.1:${(link.address() as AddressInfo).port}`;
}

for (const framework of ["express", "fastify"]) {
  const TESTED = version(framework);
  const program = `${framework}.mjs`;

  it(`${TESTED}: who comes meanwhile is told to come again, and another lock is no matter`, async (t) => {
    const { checkout, free } = await serve(t, program);
    const answers = await Promise.all([7, 7, 7, 8].map((cart) => checkout(cart)));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 423, 423]);
    for (const { status, after, body } of answers) {
      assert.equal(after, status === 423 ? "1" : undefined);
      assert.deepEqual(Object.keys(body), status === 423 ? ["error"] : ["cart", "token"]);
    }
    await free();
    assert.equal((await checkout(7)).status, 200);
  });

  it(`${TESTED}: a client that hangs up ends the work and gives the lock back`, async (t) => {
    const { checkout, client, free } = await serve(t, program);
    const gone = new AbortController();
    const asked = assert.rejects(checkout(7, gone.signal));
    await eventually("it is at it", async () => await client.inspect("cart-7"));
    const before = Date.now();
    gone.abort();
    await asked;
    await free();
    assert.ok(Date.now() - before < 450, "before the work would have ended");
    assert.equal((await checkout(7)).status, 200);
  });

  it(`${TESTED}: a client that hangs up before the store has answered leaves no lock behind`, async (t) => {
    const { checkout, client, free } = await serve(t, program, await slowly(t, 300));
    assert.equal((await checkout(8)).status, 200);
    const gone = new AbortController();
    const asked = assert.rejects(checkout(7, gone.signal));
    await eventually("the store has it", async () => await client.inspect("cart-7"));
    gone.abort();
    await asked;
    await free();
  });

  it(`${TESTED}: SIGTERM lets what is under way end under its lock`, async (t) => {
    const { child, checkout, client } = await serve(t, program);
    const asked = checkout(7);
    const owner = await eventually("it is at it", async () => (await client.inspect("cart-7"))?.owner);
    child.process.kill("SIGTERM");
    await sleep(200);
    assert.equal((await client.inspect("cart-7"))?.owner, owner);
    assert.equal((await asked).status, 200);
    assert.deepEqual(await child.ended, { code: 0, signal: null });
    assert.equal(await client.inspect("cart-7"), null);
  });
}
