// Stacks of errors begin at the line that called: whoever reads one wants to know which of his calls failed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { type AcquireOptions, Client, Lease, LeaselockError, StoreUnavailableError } from "leaselock";
import { unique } from "./support/bench.mjs";
import { eventually, freePort } from "./support/servers.mjs";

const HERE = fileURLToPath(import.meta.url);
const LINES = readFileSync(HERE, "utf8").split("\n");

/** The line of this file that the first frame names which is not of Node itself. */
function beginning(error: unknown): string {
  assert.ok(error instanceof Error, inspect(error));
  const stack = error.stack ?? "";
  assert.ok(stack.startsWith(`${error.name}: ${error.message}\n`), stack);
  // `Promise.all` and the `next` of a generator are V8's own.
  const isCode = (line: string) => /^\s+at .*:\d+:\d+\)?$/.test(line) && !line.includes("node:");
  const frames = stack.split("\n").filter(isCode);
  const [, file, line] = /(?:file:\/\/)?(\/[^:()]+):(\d+):\d+\)?$/.exec(frames[0] ?? "") ?? [];
  assert.equal(file, HERE, error.stack);
  return LINES[Number(line) - 1] ?? "";
}

/** What a call throws, or rejects with. */
async function thrown(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  assert.fail("it threw nothing");
}

async function beginsAt(text: string, call: () => unknown): Promise<void> {
  const line = beginning(await thrown(call));
  assert.ok(line.includes(text), `${line} for ${text}`);
}

function client(t: TestContext, url = `memory:${unique()}`): Client {
  const made = new Client(url, { commandTimeout: 200 });
  t.after(() => made.close().catch(() => {}));
  return made;
}

const WRONG = 7 as unknown as string;

it("a constructor's", async () => {
  await beginsAt("new Client", () => new Client(WRONG));
  await beginsAt("new Client", () => new Client("memory:x", { unknown: 1 } as object));
  await beginsAt("new Client", () => new Client("http://localhost"));
  await beginsAt("new Client", () => new Client("memory:x", { commandTimeout: -1 }));
  await beginsAt("new Lease", () => new (Lease as unknown as new () => Lease)());
});

it("those of arguments", async (t) => {
  const one = client(t);
  const [lease, ttl] = [await one.acquire("held"), -1];
  await beginsAt("one.acquire", async () => await one.acquire(WRONG));
  await beginsAt("one.acquire", async () => await one.acquire("\ud800"));
  await beginsAt("one.acquire", async () => await one.acquire("name", { unknown: 1 } as object));
  await beginsAt("one.acquire", async () => await one.acquire("name", { ttl }));
  await beginsAt("one.tryAcquire", async () => await one.tryAcquire("name", { ttl }));
  await beginsAt("one.using", async () => await one.using("name", { ttl }, () => {}));
  await beginsAt("one.using", async () => await one.using("name", undefined as never));
  await beginsAt("one.release", async () => await one.release("name", WRONG));
  await beginsAt("one.inspect", async () => await one.inspect(WRONG));
  await beginsAt("one.forceRelease", async () => await one.forceRelease(WRONG));
  await beginsAt("one.locks", async () => {
    for await (const _ of one.locks(WRONG)) {
      assert.fail("there are none");
    }
  });
  await beginsAt("lease.extend", async () => await lease.extend(ttl));
  // It was wrong at once: also where nobody awaits.
  let error: unknown;
  one.acquire(WRONG).catch((reason) => {
    error = reason;
  });
  await eventually("the error", () => error);
  assert.ok(beginning(error).includes("one.acquire"));
});

it("those of a lock that is held, and of a lease that is lost", async (t) => {
  const [one, other] = [client(t, "memory:stacks"), client(t, "memory:stacks")];
  const lease = await one.acquire("name", { ttl: 300 });
  await beginsAt("other.acquire", async () => await other.acquire("name", { wait: 0 }));
  await beginsAt("other.acquire", async () => await other.acquire("name", { wait: 50 }));
  const { signal } = new AbortController();
  await beginsAt("other.acquire", async () => await other.acquire("name", { wait: 50, signal }));
  await beginsAt("other.using", async () => await other.using("name", { wait: 50 }, () => {}));
  await beginsAt("await Promise.all", async () => {
    // V8 knows no more of it than who awaits all of them.
    await Promise.all([other.acquire("name", { wait: 0 })]);
  });
  // It is asked for here, and lost later, when nobody calls.
  const { signal: lost } = lease;
  await other.forceRelease("name");
  await eventually("the loss", () => lost.aborted);
  assert.ok(beginning(lost.reason).includes("signal: lost"));
  await beginsAt("lease.check", () => lease.check());
  await beginsAt("lease.extend", async () => await lease.extend());
  await beginsAt("lease[Symbol.asyncDispose]", async () => await lease[Symbol.asyncDispose]());
  await beginsAt("one.using", async () => {
    await one.using("another", { ttl: 300 }, async (held) => {
      await other.forceRelease("another");
      await eventually("the loss", () => !held.held);
    });
  });
});

it("those of a store that cannot be reached, and of a client that is closed", async (t) => {
  const nobody = `redis://127.0.0.1:${await freePort()}`;
  const [one, closed] = [client(t, nobody), client(t, nobody)];
  await closed.close();
  for (const each of [one, closed]) {
    await beginsAt("each.acquire", async () => await each.acquire("name", { wait: 0 }));
    await beginsAt("each.tryAcquire", async () => await each.tryAcquire("name"));
    await beginsAt("each.using", async () => await each.using("name", { wait: 0 }, () => {}));
    await beginsAt("each.release", async () => await each.release("name", "owner"));
    await beginsAt("each.inspect", async () => await each.inspect("name"));
    await beginsAt("each.forceRelease", async () => await each.forceRelease("name"));
    await beginsAt("each.locks", async () => {
      for await (const _ of each.locks()) {
        assert.fail("there are none");
      }
    });
  }
});

it("those of classes that extend a client, and of methods that were replaced", async (t) => {
  class Own extends Client {
    override async acquire(name: string, options?: AcquireOptions): Promise<Lease> {
      return await super.acquire(name, options);
    }
  }
  const own = new Own("memory:stacks-own");
  t.after(() => own.close());
  await beginsAt("super.acquire", async () => await own.acquire("name", { ttl: -1 }));
  // Where its constructor is not written out.
  await beginsAt("class Own", () => new Own("http://localhost"));
  const one = client(t);
  t.mock.method(Client.prototype, "inspect");
  await beginsAt("one.inspect", async () => await one.inspect(WRONG));
});

it("an error of the body stays as it is, also one of this package", async (t) => {
  const one = client(t);
  await beginsAt("one.inspect", async () => {
    await one.using("name", async () => {
      await one.inspect(WRONG);
    });
  });
});

it("a program that formats stacks itself gets the frames", async (t) => {
  const [one, other] = [client(t, "memory:formats"), client(t, "memory:formats")];
  const lease = await one.acquire("name", { ttl: 200, renew: false });
  const { prepareStackTrace } = Error;
  t.after(() => {
    Error.prepareStackTrace = prepareStackTrace;
  });
  Error.prepareStackTrace = (_, sites) => sites.map((site) => site.getFunctionName());
  const { signal } = lease;
  async function caller(): Promise<void> {
    await other.acquire("name", { wait: 0 });
  }
  const { stack } = (await thrown(caller)) as { stack: unknown };
  assert.ok(Array.isArray(stack) && stack[0] === "caller", inspect(stack));
  await eventually("the loss", () => signal.aborted);
  Error.prepareStackTrace = prepareStackTrace;
});

it("where nobody awaits, a stack still tells something", async (t) => {
  const one = client(t, `redis://127.0.0.1:${await freePort()}`);
  let error: unknown;
  one.inspect("name").catch((reason) => {
    error = reason;
  });
  await eventually("the error", () => error);
  assert.ok(error instanceof StoreUnavailableError && error instanceof LeaselockError);
  assert.match(error.stack ?? "", /^StoreUnavailableError: .*\n\s+at .*inspect/s);
});
