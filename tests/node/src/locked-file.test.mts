// A file: store that another program keeps locked: the event loop goes on turning, and errors come in time.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "./support/servers.mjs";
import { type Folder, fileTest } from "./support/stores.mjs";

/** Keeps the write lock of the database until it is ended. */
class Locker {
  private constructor(readonly process: ChildProcess) {}

  static async start(folder: Folder): Promise<Locker> {
    const source = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
database.execute("ROLLBACK")
`;
    const python = process.env["PYTHON"] ?? "python3";
    const child = spawn(python, ["-c", source, folder.file], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    return new Locker(child);
  }

  async unlock(): Promise<void> {
    if (this.process.exitCode === null) {
      this.process.stdin?.end();
      await once(this.process, "exit");
    }
  }
}

/** The longest time that the event loop did not turn while `work` went on, in milliseconds. */
async function longestPause(work: () => Promise<void>): Promise<number> {
  let [longest, last] = [0, performance.now()];
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  await work();
  clearInterval(timer);
  return longest;
}

fileTest(
  "the event loop goes on turning while the file is locked, and all is answered after it",
  async (store, folder) => {
    const client = store.client();
    const held = await client.acquire(`${store.name}-held`, { ttl: 10_000 });
    const locker = await Locker.start(folder);
    let answered = false;
    try {
      const pause = await longestPause(async () => {
        const leases = Promise.all(Array.from({ length: 50 }, (_, i) => client.acquire(`${store.name}-${i}`)));
        const others = Promise.all([held.release(), client.tryAcquire(store.name), client.forceRelease("nobody's")]);
        const all = Promise.all([leases, others]).then(([leases, others]) => {
          answered = true;
          return { leases, others };
        });
        await sleep(2_000);
        assert.equal(answered, false, "nothing can be written");
        assert.equal(await client.inspect("nobody's"), null, "but looked at");
        await locker.unlock();
        const { leases: got, others: ends } = await all;
        assert.equal(new Set(got.map(({ token }) => token)).size, 50);
        assert.deepEqual([ends[0], ends[1]?.held, ends[2]], [true, true, "NOT_FOUND"]);
      });
      // Without waiting it is a few milliseconds; a busy machine adds its own.
      assert.ok(pause < 500, `the loop stood still for ${pause} ms`);
    } finally {
      await locker.unlock();
    }
  },
);

fileTest("a file that stays locked is a StoreUnavailableError within the command time-out", async (store, folder) => {
  const client = store.client({ commandTimeout: 400 });
  const lease = await client.acquire(store.name, { ttl: 1_500 });
  const locker = await Locker.start(folder);
  try {
    const start = performance.now();
    const unavailable = { code: "STORE_UNAVAILABLE", message: /another process has kept the store .*locks\.db locked/ };
    await assert.rejects(client.tryAcquire("other"), unavailable);
    assert.ok(performance.now() - start < 2_000);
    await assert.rejects(client.release("other", "someone"), unavailable);
    // An abort does not wait for it.
    const aborting = performance.now();
    const signal = AbortSignal.timeout(100);
    await assert.rejects(client.acquire("other", { signal }), { name: "TimeoutError" });
    assert.ok(performance.now() - aborting < 350);
    await eventually("it is lost", () => lease.signal.aborted);
    assert.equal(lease.signal.reason.reason, "expired", "what cannot be renewed is lost at its deadline");
  } finally {
    await locker.unlock();
  }
  await using next = await client.acquire(store.name, { wait: 5_000 });
  assert.ok(next.token > lease.token);
});
