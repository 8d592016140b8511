// Processes that a test starts, and waiting for what they do.

import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

/** This project. */
const FOLDER = dirname(process.argv[1] as string);

/** The version of a package that is tested. */
export function version(name: string): string {
  let folder = dirname(createRequire(join(FOLDER, "x.js")).resolve(name));
  for (;;) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      if (manifest.name === name) {
        return `${name} ${manifest.version}`;
      }
    } catch {
      // Not here.
    }
    folder = dirname(folder);
  }
}

/** A name that nothing else uses. */
export function unique(): string {
  return randomUUID().slice(0, 13);
}

export interface Child {
  process: ChildProcess;
  /** What it has printed so far. */
  output(): string;
  /** How it ends. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** Starts a program of this project; it is killed at the end of the test. */
export function start(t: TestContext, program: string, env: Record<string, string>, ...args: string[]): Child {
  const process_ = spawn(process.execPath, [join(FOLDER, program), ...args], {
    cwd: FOLDER,
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, NO_COLOR: "1", ...env },
  });
  let output = "";
  process_.stdout.on("data", (text) => {
    output += text;
  });
  process_.stderr.on("data", (text) => {
    output += text;
  });
  const ended = once(process_, "close").then(([code, signal]) => ({ code, signal }));
  t.after(async () => {
    process_.kill("SIGKILL");
    await ended;
  });
  return { process: process_, output: () => output, ended };
}

type Falsy = false | 0 | null | undefined;

/** What `look` gives, once it gives something. */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  within = 30_000,
): Promise<Exclude<T, Falsy>> {
  const until = Date.now() + within;
  for (;;) {
    const found = await look();
    if (found) {
      return found as Exclude<T, Falsy>;
    }
    if (Date.now() > until) {
      throw new Error(`not within ${within} ms: ${what}`);
    }
    await sleep(20);
  }
}
