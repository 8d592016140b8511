// leaselock/nest, in applications of NestJS with real timers, and several of them at once.

import "reflect-metadata";
import assert from "node:assert/strict";
import { after, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type DynamicModule, Injectable, type Type } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { Client, ClientClosedError, InvalidArgumentError, LeaseLostError, LockTimeoutError } from "leaselock";
import { currentLease, Exclusive, LeaselockModule } from "leaselock/nest";
import { REDIS_URL, redis, runs } from "./beats.js";
import { type Child, eventually, start, unique, version } from "./children.js";

const TESTED = `${version("@nestjs/core")}, ${version("@nestjs/schedule")}`;
after(() => redis.quit());

async function ready(t: TestContext, thing: string, env: Record<string, string>): Promise<Child> {
  const child = start(t, "nest-app.js", env, thing);
  await eventually("it is ready", () => child.output().includes("ready") || child.process.exitCode !== null);
  assert.equal(child.output(), "ready\n");
  return child;
}

async function told(child: Child): Promise<void> {
  child.process.kill("SIGTERM");
  const { code, signal } = await child.ended;
  // Nest ends by the signal itself.
  assert.deepEqual([code, signal, child.output()], [null, "SIGTERM", "ready\n"]);
}

it(`${TESTED}: an interval in two processes never runs twice at once, and a skipped one runs nothing`, async (t) => {
  const KEY = unique();
  const children = await Promise.all([ready(t, "Often", { KEY }), ready(t, "Often", { KEY })]);
  const found = await eventually("both have worked", async () => {
    const all = await runs(`${KEY}:often`);
    return new Set(all.map(({ pid }) => pid)).size === 2 && all.length >= 10 && all;
  });
  assert.ok(found.length >= 10);
  await Promise.all(children.map(told));
  const all = await runs(`${KEY}:often`);
  assert.ok(
    all.every(({ ended }) => ended),
    "work that was under way at SIGTERM has come to its end",
  );
});

it(`${TESTED}: a job of two clocks runs once a turn, with the decorators in either order`, async (t) => {
  const KEY = unique();
  const children = await Promise.all([ready(t, "Ticks", { KEY }), ready(t, "Ticks", { KEY })]);
  await sleep(7_000);
  await Promise.all(children.map(told));
  for (const which of ["above", "below"]) {
    const turns = (await redis.lrange(`${KEY}:${which}`, 0, -1)).map(Number);
    assert.ok(turns.length >= 3, `${which} ran ${turns.length} times`);
    const expected = turns.map((_, i) => (turns[0] as number) + i);
    assert.deepEqual(turns, expected, which);
  }
});

it(`${TESTED}: a process that is killed is followed by another after the TTL`, async (t) => {
  const KEY = unique();
  const key = `${KEY}:often`;
  const env = { KEY, TTL: "1500", WORK: "60000" };
  const victim = await ready(t, "Often", env);
  await eventually("it works", () => redis.llen(key));
  await ready(t, "Often", env);
  await sleep(500);
  victim.process.kill("SIGKILL");
  await victim.ended;
  const [first, second] = await eventually("the other one works", async () => {
    const all = await runs(key);
    return all.length === 2 && all;
  });
  assert.equal(first?.pid, victim.process.pid);
  assert.equal(first?.ended, false);
  const pause = (second?.first ?? 0) - (first?.last ?? 0);
  // Renewed at a third of the TTL: at least two thirds of it were left.
  assert.ok(pause > 900 && pause < 5_000, `after ${pause} ms`);
});

it(`${TESTED}: SIGTERM lets a job end under its lease, and gives it back`, async (t) => {
  const KEY = unique();
  const key = `${KEY}:often`;
  const child = await ready(t, "Often", { KEY, WORK: "1000" });
  await eventually("it works", () => redis.llen(key));
  await told(child);
  const all = await runs(key);
  assert.equal(all.length, 1);
  assert.equal(all[0]?.ended, true);
  await using client = new Client(REDIS_URL, { appId: KEY });
  const lease = await client.tryAcquire("often");
  assert.ok(lease);
  await lease.release();
});

/** An application with one provider; closed at the end of the test. */
async function application<T>(t: TestContext, type: Type<T>, imported: DynamicModule) {
  class AppModule {}
  const root = { module: AppModule, imports: [imported], providers: [type] };
  const app = await NestFactory.createApplicationContext(root, { logger: false, abortOnError: false });
  t.after(() => app.close());
  return { app, provider: app.get(type), client: app.get(Client) };
}

const ours = () => LeaselockModule.forRoot({ url: REDIS_URL, appId: unique() });

it(`${TESTED}: a method skips, waits or throws while its name is taken`, async (t) => {
  @Injectable()
  class Jobs {
    constructor(readonly client: Client) {}

    @Exclusive("job")
    async skips(): Promise<number | undefined> {
      return currentLease().token;
    }

    @Exclusive((first: string, second: number) => `${first}-${second}`, { onBusy: "throw" })
    async throws(first: string, second: number): Promise<string> {
      return `${first} ${second} ${currentLease().name}`;
    }

    @Exclusive("job", { onBusy: "wait", wait: 10_000, label: "waits" })
    async waits(): Promise<string> {
      return currentLease().owner;
    }

    @Exclusive("job", { onBusy: "wait", wait: 50 })
    async waitsInVain(): Promise<void> {}

    @Exclusive("failing")
    async fails(): Promise<void> {
      throw new RangeError("it failed");
    }
  }
  const { provider: jobs, client } = await application(t, Jobs, ours());
  assert.equal(jobs.client, client);
  assert.ok(client instanceof Client);
  assert.equal(typeof (await jobs.skips()), "number");
  assert.equal(await jobs.throws("order", 7), "order 7 order-7");

  const lease = await client.acquire("job");
  assert.equal(await jobs.skips(), undefined);
  await assert.rejects(jobs.waitsInVain(), LockTimeoutError);
  const other = await client.acquire("order-7");
  await assert.rejects(jobs.throws("order", 7), LockTimeoutError);
  assert.equal(await jobs.throws("order", 8), "order 8 order-8");
  await other.release();
  const waiting = jobs.waits();
  await sleep(100);
  await lease.release();
  assert.match(await waiting, /^waits/);

  for (let i = 0; i < 2; i++) {
    await assert.rejects(jobs.fails(), /it failed/);
  }
  assert.throws(currentLease, /no current lease/);
});

it(`${TESTED}: a lost lease aborts the signal, and the call rejects`, async (t) => {
  let ended = false;
  @Injectable()
  class Jobs {
    @Exclusive("deaf", { ttl: 600 })
    async deaf(): Promise<void> {
      await new Promise((resolve) => currentLease().signal.addEventListener("abort", resolve));
      ended = true;
    }

    @Exclusive("heeds", { ttl: 600 })
    async heeds(): Promise<void> {
      await sleep(60_000, undefined, { signal: currentLease().signal });
    }
  }
  const { provider: jobs, client } = await application(t, Jobs, ours());
  const heard = (error: Error) => error.name === "AbortError" && error.cause instanceof LeaseLostError;
  const both = Promise.all([assert.rejects(jobs.deaf(), LeaseLostError), assert.rejects(jobs.heeds(), heard)]);
  await eventually("they run", () => client.stats().held === 2);
  await client.forceRelease("deaf");
  await client.forceRelease("heeds");
  await both;
  assert.equal(ended, true);
});

it(`${TESTED}: minHold keeps the name also after a failure, and not for longer`, async (t) => {
  let calls = 0;
  @Injectable()
  class Jobs {
    @Exclusive("job", { minHold: 800 })
    async job(): Promise<void> {
      calls += 1;
      if (calls === 2) {
        throw new Error("it failed");
      }
    }
  }
  const { provider: jobs, client } = await application(t, Jobs, ours());
  await jobs.job();
  for (let i = 0; i < 2; i++) {
    const info = await client.inspect("job");
    assert.ok(info?.expiresIn && info.expiresIn > 400 && info.expiresIn <= 800, `${info?.expiresIn}`);
    await jobs.job();
    assert.equal(calls, i + 1);
    await eventually("it is free", async () => (await client.inspect("job")) === null, 2_000);
    await (i === 0 ? assert.rejects(jobs.job(), /it failed/) : jobs.job());
  }
  assert.equal(calls, 3);
});

it(`${TESTED}: closing lets what runs end, refuses what waits, and closes the client`, async (t) => {
  let running = 0;
  @Injectable()
  class Jobs {
    @Exclusive("job", { onBusy: "wait" })
    async job(): Promise<boolean> {
      running += 1;
      const lease = currentLease();
      await sleep(500);
      return lease.held;
    }
  }
  const { app, provider: jobs, client } = await application(t, Jobs, ours());
  const first = jobs.job();
  await eventually("it runs", () => running);
  const second = assert.rejects(jobs.job(), ClientClosedError);
  await eventually("it waits", () => client.stats().waiting === 1);
  const closing = app.close();
  await second;
  assert.equal(client.closed, false);
  assert.equal(await first, true);
  assert.equal(running, 1);
  await closing;
  assert.equal(client.closed, true);
});

it(`${TESTED}: forRootAsync takes what is injected, and a module that is not global is where it is imported`, async (t) => {
  const appId = unique();
  const CONFIG = "config";
  class ConfigModule {}
  const config = { module: ConfigModule, providers: [{ provide: CONFIG, useValue: { appId } }], exports: [CONFIG] };
  @Injectable()
  class Jobs {
    @Exclusive("job")
    async job(): Promise<string> {
      return currentLease().name;
    }
  }
  const local = LeaselockModule.forRootAsync({
    isGlobal: false,
    imports: [config],
    inject: [CONFIG],
    useFactory: async (given: { appId: string }) => ({ url: REDIS_URL, ...given }),
  });
  const { provider: jobs, client } = await application(t, Jobs, local);
  assert.equal(client.appId, appId);
  assert.equal(await jobs.job(), "job");

  class Feature {}
  const feature = { module: Feature, providers: [Jobs], exports: [Jobs] };
  class AppModule {}
  const create = (imports: DynamicModule[]) =>
    NestFactory.createApplicationContext({ module: AppModule, imports }, { logger: false, abortOnError: false });
  await assert.rejects(create([local, feature]), /LeaselockRuns/);
  const app = await create([ours(), feature]);
  assert.equal(await app.get(Jobs).job(), "job");
  await app.close();
});

it(`${TESTED}: what contradicts itself is refused when the class is made`, async () => {
  assert.throws(() => Exclusive("job", { wait: 10 }), InvalidArgumentError);
  assert.throws(() => Exclusive("job", { minHold: 1_001, maxHold: 1_000 }), InvalidArgumentError);
  assert.throws(() => Exclusive("job", { minHold: -1 }), InvalidArgumentError);
  assert.throws(() => Exclusive("job", { onBusy: "delay" as "wait" }), InvalidArgumentError);
  assert.throws(() => Exclusive("job", { atleast: 1 } as object), TypeError);
  class Jobs {
    @Exclusive("job")
    async job(): Promise<void> {}

    // @ts-expect-error It returns no promise, and under the decorator it would.
    @Exclusive("job")
    plain(): number {
      return 1;
    }
  }
  await assert.rejects(new Jobs().job(), /job is @Exclusive: it runs in a provider that Nest made/);
});

it(`${TESTED}: the example of the page writes one report a turn, and ends at SIGTERM`, async (t) => {
  const env = { LEASELOCK_URL: REDIS_URL, LEASELOCK_APP_ID: unique() };
  const children = [start(t, "nest.js", env), start(t, "nest.js", env)];
  for (const child of children) {
    await eventually("it ships", () => /order 7 is shipped, token \d+/.test(child.output()));
  }
  const written = () => children.map((child) => child.output().match(/writing the report/g)?.length ?? 0);
  await eventually("a report is written", () => written().some((count) => count > 0));
  await sleep(1_000);
  assert.equal(
    written().reduce((a, b) => a + b),
    1,
  );
  for (const child of children) {
    child.process.kill("SIGTERM");
    assert.equal((await child.ended).signal, "SIGTERM");
  }
});
