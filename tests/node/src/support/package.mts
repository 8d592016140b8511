// The package as its users get it: packed, and installed in a project of theirs.

import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The root of this repository. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..");

/** What a program printed, and whether it ended well. */
export interface Ran {
  ok: boolean;
  stdout: string;
  stderr: string;
}

/** Runs a program in `cwd` to its end, however that is. */
export async function tried(program: string, args: string[], cwd: string, more: NodeJS.ProcessEnv = {}): Promise<Ran> {
  // npm's own settings for its scripts must not reach the npm that is run here, nor this test runner's its children.
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith("npm_") && name !== "NODE_TEST_CONTEXT");
  const env = { ...Object.fromEntries(own), NO_COLOR: "1", ...more };
  try {
    return { ok: true, ...(await promisify(execFile)(program, args, { cwd, env, timeout: 180_000 })) };
  } catch (error) {
    const { stdout = "", stderr = "", message } = error as Error & Partial<Ran>;
    return { ok: false, stdout, stderr: stderr || message };
  }
}

/** Runs a program in `cwd`; what it prints, or an error that says it. */
export async function run(program: string, args: string[], cwd: string, more: NodeJS.ProcessEnv = {}): Promise<string> {
  const { ok, stdout, stderr } = await tried(program, args, cwd, more);
  if (!ok) {
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout}${stderr}`);
  }
  return stdout;
}

/** Packs the package into `folder`: the file's path. */
export async function pack(folder: string): Promise<string> {
  const packed = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], root);
  return join(folder, JSON.parse(packed)[0].filename);
}

/** Makes a project in `folder` that has the packed package installed, and others that it needs. */
export async function makeProject(folder: string, ...tarballs: string[]): Promise<void> {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "user", private: true }));
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", ...tarballs], folder);
}
