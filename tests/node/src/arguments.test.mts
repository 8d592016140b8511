// Bad arguments: the typed error, as a rejection from what is async, before anything is sent.

import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { Client, type ClientOptions, InvalidArgumentError } from "leaselock";
import { test } from "./support/bench.mjs";
import { CountingListener } from "./support/network.mjs";
import { freshMemory } from "./support/stores.mjs";

let listener: CountingListener;
let client: Client;

before(async () => {
  // No server of a test was there before, whose clients still look for it.
  listener = await CountingListener.start("127.0.0.2");
  client = new Client(listener.url, { commandTimeout: 200 });
});

after(async () => {
  // The proof of this file: nothing of all that was refused has reached the network.
  await sleep(100);
  const { connections, bytes } = listener;
  await client.close();
  await listener.stop();
  assert.deepEqual({ connections, bytes }, { connections: 0, bytes: 0 });
});

// biome-ignore lint/suspicious/noExplicitAny: wrong types are the point
type Anything = any;

const isTypeError = (error: unknown) =>
  error instanceof TypeError && (error as unknown as { code: string }).code.startsWith("ERR_");
const isInvalid = (error: unknown) =>
  error instanceof InvalidArgumentError && error.code === "INVALID_ARGUMENT" && error.message.length > 10;

/** Every value that is no string, and what people pass instead of one. */
const noString = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, 0, Number.NaN, 5n, Symbol("s"), () => {}, Buffer.from("x")),
  fc.constantFrom<unknown>(new String("x"), new URL("redis://h"), ["x"], { toString: () => "x" }, new Date(0)),
  fc.integer(),
  fc.object(),
);
/** The same for numbers; undefined is an option that is not given. */
const noNumber = fc.oneof(
  fc.constantFrom<unknown>(null, true, "5", "", 5n, Symbol("s"), () => 5, new Number(5), [5], { valueOf: () => 5 }),
  fc.string(),
  fc.object(),
);
const noBoolean = fc.constantFrom<unknown>(null, 0, 1, "true", "", 0n, [], {}, new Boolean(true), Symbol("s"));
const noSignal = fc.constantFrom<unknown>(null, true, 5, "abort", {}, { aborted: false }, new AbortController(), []);
const noOptions = fc.constantFrom<unknown>(null, true, 5, "ttl", 5n, Symbol("s"), () => {}, [], [5]);

/** Numbers that no duration is. */
const badNumber = fc.oneof(
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -0.5, -Number.MAX_VALUE),
  fc.double({ max: -0.001, noNaN: true }),
);
const YEAR = 365 * 24 * 3600 * 1000;
const badTtl = fc.oneof(
  badNumber,
  fc.constantFrom(0, -0, 1, 99, 99.999, YEAR + 1, Number.MAX_SAFE_INTEGER, Number.MAX_VALUE, Number.MIN_VALUE),
  fc.double({ min: 0, max: 99.99, noNaN: true }),
  fc.double({ min: YEAR + 1, noNaN: true, noDefaultInfinity: true }),
);
const control = fc.integer({ min: 0, max: 0x1f }).map((code) => String.fromCharCode(code));
const anyControl = fc.oneof(control, fc.integer({ min: 0x7f, max: 0x9f }).map(String.fromCharCode));
const loneSurrogate = fc.integer({ min: 0xd800, max: 0xdfff }).map((code) => String.fromCharCode(code));
const around = (bad: fc.Arbitrary<string>) =>
  fc
    .tuple(
      fc.string({ unit: "grapheme-ascii", maxLength: 20 }),
      bad,
      fc.string({ unit: "grapheme-ascii", maxLength: 20 }),
    )
    // "|" at an end would be refused for a reason of its own; that case stands below.
    .map((parts) => parts.join("").replaceAll("|", "_"));
const tooLong = fc.constantFrom("a".repeat(513), "é".repeat(257), "𝄞".repeat(129));
const badText = fc.oneof(around(anyControl), around(loneSurrogate), tooLong);
const badName = fc.oneof(badText, fc.constantFrom("", "|", "|a", "a|", "a||b", "||"));

/** What takes a name first, by its name. */
const calls: Record<string, (name: Anything) => Promise<unknown>> = {
  acquire: (name) => client.acquire(name),
  tryAcquire: (name) => client.tryAcquire(name),
  using: (name) => client.using(name, () => {}),
  release: (name) => client.release(name, "owner"),
  inspect: (name) => client.inspect(name),
  extend: (name) => client.extend(name, "owner", 1000),
  forceRelease: (name) => client.forceRelease(name),
};
/** What takes the options of an acquire. */
const acquires: Record<string, (options: Anything) => Promise<unknown>> = {
  acquire: (options) => client.acquire("name", options),
  tryAcquire: (options) => client.tryAcquire("name", options),
  using: (options) => client.using("name", options, () => {}),
};

/** The promise rejects, and the function does not throw. */
async function rejects(call: () => Promise<unknown>, expected: (error: unknown) => boolean): Promise<void> {
  let promise: Promise<unknown>;
  try {
    promise = call();
  } catch (error) {
    throw new Error("it threw instead of rejecting", { cause: error });
  }
  await assert.rejects(promise, expected);
}

for (const [name, call] of Object.entries(calls)) {
  it(`${name}: a name that is no string`, () =>
    fc.assert(fc.asyncProperty(noString, (value) => rejects(() => call(value), isTypeError))));
  it(`${name}: a name that is refused`, () =>
    fc.assert(fc.asyncProperty(badName, (value) => rejects(() => call(value), isInvalid))));
}

for (const [name, call] of Object.entries(acquires)) {
  const refused = (field: string, bad: fc.Arbitrary<unknown>, expected: (error: unknown) => boolean) =>
    fc.assert(fc.asyncProperty(bad, (value) => rejects(() => call({ [field]: value }), expected)));

  it(`${name}: options of the wrong type`, async () => {
    for (const field of ["ttl", "maxHold"]) {
      await refused(field, noNumber, isTypeError);
    }
    await refused("renew", noBoolean, isTypeError);
    await refused("signal", noSignal, isTypeError);
    await refused(
      "label",
      noString.filter((value) => value !== undefined),
      isTypeError,
    );
    await fc.assert(
      fc.asyncProperty(
        noOptions.filter((value) => name !== "using" || typeof value !== "function"),
        (value) => rejects(() => call(value), isTypeError),
      ),
    );
  });

  it(`${name}: options out of range`, async () => {
    await refused("ttl", badTtl, isInvalid);
    await refused("maxHold", fc.oneof(badNumber, fc.constantFrom(0, 1, 29_999)), isInvalid);
    await refused("label", fc.oneof(badText, fc.constant("a".repeat(129))), isInvalid);
  });

  it(`${name}: an option that does not exist is refused by its name`, async () => {
    for (const unknown of ["tll", "timeout", "max_hold", "TTL", "retry"]) {
      await assert.rejects(call({ [unknown]: 5 }), { name: "TypeError", code: "ERR_UNKNOWN_OPTION" });
      await assert.rejects(call({ [unknown]: 5 }), new RegExp(`"${unknown}".*ttl`));
    }
  });
}

it("wait: wrong types and values; tryAcquire takes none", async () => {
  await fc.assert(
    fc.asyncProperty(noNumber, (wait) => rejects(() => client.acquire("name", { wait } as Anything), isTypeError)),
  );
  await fc.assert(fc.asyncProperty(badNumber, (wait) => rejects(() => client.acquire("name", { wait }), isInvalid)));
  await assert.rejects(client.tryAcquire("name", { wait: 0 } as Anything), { code: "ERR_UNKNOWN_OPTION" });
});

it("release: an owner that is none", async () => {
  await fc.assert(
    fc.asyncProperty(noString, (owner) => rejects(() => client.release("name", owner as Anything), isTypeError)),
  );
  await fc.assert(
    fc.asyncProperty(fc.oneof(badText, fc.constant("")), (owner) =>
      rejects(() => client.release("name", owner), isInvalid),
    ),
  );
});

it("locks: a pattern that is none rejects at the first step", async () => {
  const first = (pattern: Anything) => client.locks(pattern).next();
  const wrong = noString.filter((value) => value !== undefined);
  await fc.assert(fc.asyncProperty(wrong, (pattern) => rejects(() => first(pattern), isTypeError)));
  await fc.assert(fc.asyncProperty(badText, (pattern) => rejects(() => first(pattern), isInvalid)));
});

it("a Client throws what is wrong with its arguments", () => {
  const make = (url: Anything, options?: ClientOptions) => () => new Client(url, options);
  const wrongUrl = noString.filter((value) => value !== undefined);
  fc.assert(fc.property(wrongUrl, (url) => assert.throws(make(url), isTypeError)));
  fc.assert(fc.property(noOptions, (options) => assert.throws(make(listener.url, options as Anything), isTypeError)));
  fc.assert(
    fc.property(noNumber, (value) =>
      assert.throws(make(listener.url, { commandTimeout: value as Anything }), isTypeError),
    ),
  );
  fc.assert(
    fc.property(wrongUrl, (value) => assert.throws(make(listener.url, { appId: value as Anything }), isTypeError)),
  );
  fc.assert(fc.property(badNumber, (value) => assert.throws(make(listener.url, { commandTimeout: value }), isInvalid)));
  assert.throws(make(listener.url, { commandTimeout: 0 }), isInvalid);
  const badApp = fc.oneof(
    around(anyControl),
    around(loneSurrogate),
    fc.constantFrom("a".repeat(257), "|", "a|", "|a", "a||b"),
  );
  fc.assert(fc.property(badApp, (appId) => assert.throws(make(listener.url, { appId }), isInvalid)));
  assert.throws(make(listener.url, { app_id: "x" } as Anything), { code: "ERR_UNKNOWN_OPTION" });
  const badUrl = [
    "",
    " ",
    "localhost",
    "localhost:6379",
    "http://localhost",
    "redis://",
    "redis://h:port",
    "redis://h/x",
    "\ud800",
  ];
  for (const url of badUrl) {
    assert.throws(make(url), isInvalid, url);
  }
});

it("with no URL at all, or an empty one in the environment, the error shows both ways to give one", () => {
  for (const environment of [undefined, ""]) {
    delete process.env["LEASELOCK_URL"];
    if (environment !== undefined) {
      process.env["LEASELOCK_URL"] = environment;
    }
    assert.throws(
      () => new Client(),
      (error: Error) => isInvalid(error) && /LEASELOCK_URL/.test(error.message) && /redis:\/\//.test(error.message),
    );
  }
  delete process.env["LEASELOCK_URL"];
});

it("an empty app id is none, in the environment and as an argument", async (t) => {
  t.after(() => delete process.env["LEASELOCK_APP_ID"]);
  const url = freshMemory();
  await using plain = new Client(url);
  await using lease = await plain.acquire("name");
  process.env["LEASELOCK_APP_ID"] = "";
  await using unset = new Client(url);
  assert.equal((await unset.inspect("name"))?.owner, lease.owner);
  process.env["LEASELOCK_APP_ID"] = "app";
  await using none = new Client(url, { appId: "" });
  assert.equal((await none.inspect("name"))?.owner, lease.owner);
  await using set = new Client(url);
  assert.equal(await set.inspect("name"), null, "another namespace");
});

test("extend: wrong types and values change nothing", async (bench) => {
  const lease = await bench.client().acquire(bench.name, { ttl: 20_000, maxHold: 40_000 });
  const pttl = await bench.redis.pttl(bench.key);
  await fc.assert(fc.asyncProperty(noNumber, (ttl) => rejects(() => lease.extend(ttl as Anything), isTypeError)));
  await fc.assert(fc.asyncProperty(badTtl, (ttl) => rejects(() => lease.extend(ttl), isInvalid)));
  await rejects(() => lease.extend(50_000), isInvalid);
  assert.equal(lease.ttl, 20_000);
  assert.equal(lease.state, "held");
  assert.ok((await bench.redis.pttl(bench.key)) <= pttl);
});

test("field bug 30: durations are milliseconds, and the error of one that looks like seconds says so", async (bench) => {
  const other = bench.client();
  await assert.rejects(other.acquire(bench.name, { ttl: 30 }), /30 ms.*milliseconds/);
  const lease = await other.acquire(bench.name, { ttl: 30_000 });
  const pttl = await bench.redis.pttl(bench.key);
  assert.ok(pttl > 29_000 && pttl <= 30_000);
  await lease.release();
});

test("what is unusual but right is taken", async (bench) => {
  const other = bench.client();
  for (const name of ["ü", "名前", "a b", "a|b", "{tag}x", "𝄞".repeat(128), "-0"]) {
    const lease = await other.acquire(name, { ttl: 5_000.75, wait: 0, maxHold: 5_000, renew: false, label: "é" });
    assert.equal(lease.name, name);
    assert.equal(lease.ttl, 5_000);
    assert.equal(await lease.release(), true);
  }
  const undefinedIsAbsent = {
    ttl: undefined,
    wait: undefined,
    renew: undefined,
    maxHold: undefined,
    label: undefined,
    signal: undefined,
  };
  const lease = await other.acquire(bench.name, undefinedIsAbsent);
  assert.equal(lease.ttl, 30_000);
});
