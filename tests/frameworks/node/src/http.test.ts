// The recipes for Express and Fastify, as their page has them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";
import { REDIS_URL } from "./beats.js";
import { type Child, eventually, start, unique, version } from "./children.js";

/** The example, which listens: it and how to ask it for a checkout. */
async function serve(t: TestContext, program: string) {
  const LEASELOCK_APP_ID = unique();
  const child: Child = start(t, program, { PORT: "0", LEASELOCK_URL: REDIS_URL, LEASELOCK_APP_ID });
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
    const { checkout } = await serve(t, program);
    for (let i = 0; i < 20; i++) {
      const gone = new AbortController();
      const asked = checkout(7, gone.signal).catch(() => undefined);
      await sleep(i / 4);
      gone.abort();
      await asked;
    }
    // The server may still be reading what nobody waits for. A lock that is left behind would be renewed for ever.
    await eventually("it is free", async () => (await checkout(7)).status === 200, 5_000);
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
