// Bundlers, runtimes and a test runner that users have, as tests/toolchains pins them: installed when they are first needed.

import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { it, type TestContext } from "node:test";
import { Client } from "leaselock";
import { makeProject, pack, root, run } from "./package.mjs";

const folder = join(root, "tests", "toolchains");
const builds = join(folder, "build");
const modules = join(folder, "node_modules");

/** Installs them, unless that was done: into a folder of their own, which is kept. */
async function install(): Promise<void> {
  const wanted = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  const stamp = join(modules, ".stamp-toolchains");
  mkdirSync(builds, { recursive: true });
  // Files of tests run side by side.
  await using client = new Client(`file:${join(builds, "install.db")}`);
  await client.using("install", { ttl: 60_000 }, async () => {
    let found = "";
    try {
      found = readFileSync(stamp, "utf8");
    } catch {
      // Not installed.
    }
    if (found !== wanted) {
      await run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder);
      writeFileSync(stamp, wanted);
    }
  });
}

let begun: Promise<void> | undefined;

/** Installs them once for all tests of a file: when one of them runs, and not where all are passed over. */
function installed(): Promise<void> {
  begun ??= install();
  return begun;
}

/** A program of one of the packages. */
export function tool(...path: string[]): string {
  return join(modules, ...path);
}

const folders: string[] = [];
// Several tests use them, and the first that asks for one is not the last.
process.once("exit", () => {
  for (const made of folders) {
    rmSync(made, { recursive: true, force: true });
  }
});

/** A new folder, until the file's tests have ended. */
function folderFor(what: string): string {
  const made = mkdtempSync(join(builds, what));
  folders.push(made);
  return made;
}

/** The files to install: what `make dist` built, if that is to be tried, or else the clone, packed. */
async function find(): Promise<string[]> {
  const built = process.env["LEASELOCK_TARBALLS"];
  if (built) {
    return built.split(delimiter);
  }
  return [await pack(folderFor("packed-"))];
}

let found: Promise<string[]> | undefined;

/** A folder with the package installed, below which Node finds the packages of tests/toolchains too. */
export async function project(files: Record<string, string>): Promise<string> {
  const made = folderFor("project-");
  found ??= find();
  await makeProject(made, ...(await found));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(made, name, ".."), { recursive: true });
    writeFileSync(join(made, name), text);
  }
  return made;
}

/** A test that needs them. Without a registry it cannot run, which CI does not let pass. */
export function test(title: string, body: (t: TestContext) => Promise<void>): void {
  it(title, { timeout: 300_000 }, async (t) => {
    try {
      await installed();
    } catch (error) {
      if (process.env["CI"] === "true") {
        throw error;
      }
      t.skip(`the packages of tests/toolchains cannot be installed: ${(error as Error).message}`);
      return;
    }
    await body(t);
  });
}
