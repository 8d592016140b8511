// The command `leaselock` as npm installs it: what Node must not change about it.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Bench, test } from "./support/bench.mjs";

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const bin = join(root, JSON.parse(readFileSync(join(root, "package.json"), "utf8")).bin.leaselock);
const IGNORED = "grep SigIgn /proc/self/status";

/** Starts the command; without a store where there is no `bench`. */
function start(bench: Bench | null, ...args: string[]): ChildProcess {
  const { LEASELOCK_URL: _, ...env } = process.env;
  const store = bench ? { LEASELOCK_URL: bench.server.url, LEASELOCK_APP_ID: bench.app } : {};
  return spawn(process.execPath, [bin, ...args], { env: { ...env, ...store }, detached: true });
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

async function ended(child: ChildProcess, given = ""): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  // A command that a signal has ended already reads nothing.
  child.stdin?.on("error", () => {}).end(given);
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { code, signal, stdout, stderr };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, "it takes too long");
    await sleep(20);
  }
}

test("it holds the lock while a command runs, which has its files and its status", async (bench) => {
  const client = bench.client();
  const child = start(bench, "run", bench.name, "--", "sh", "-c", "cat; echo no >&2; exit 7");
  await until(async () => (await client.inspect(bench.name)) !== null);
  assert.equal(await client.tryAcquire(bench.name), null);
  assert.deepEqual(await ended(child, "from stdin"), { code: 7, signal: null, stdout: "from stdin", stderr: "no\n" });
  assert.equal(await client.inspect(bench.name), null);
});

it("help names the command and not Node; errors are one line and a status", async () => {
  const help = await ended(start(null, "run", "--help"));
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /Usage: leaselock run/);
  const wrong = await ended(start(null, "run"));
  assert.deepEqual([wrong.code, wrong.stdout], [64, ""]);
  assert.match(wrong.stderr, /^leaselock: .*\n$/);
});

for (const [sent, code, signal] of [
  ["SIGINT", null, "SIGINT"],
  ["SIGTERM", 143, null],
] as const) {
  test(`${sent} ends the command and gives the lock back`, async (bench) => {
    const child = start(bench, "run", bench.name, "--", "sh", "-c", "echo runs; exec sleep 60");
    assert.ok(child.stdout);
    await once(child.stdout, "readable");
    assert.equal(String(child.stdout.read()), "runs\n");
    child.kill(sent);
    assert.deepEqual(await ended(child), { code, signal, stdout: "", stderr: "" });
    assert.equal(await bench.client().inspect(bench.name), null);
  });
}

test("the command inherits no signal that Node ignores", async (bench) => {
  const { code, stdout } = await ended(start(bench, "run", bench.name, "--", "sh", "-c", IGNORED));
  assert.equal(code, 0);
  const mask = BigInt(`0x${stdout.split(/\s+/)[1]}`);
  assert.equal(mask & 0x7fffffffn, 0n, "32 and 33 are the C library's own");
});
