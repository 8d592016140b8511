// The types as an editor has them: for the oldest TypeScript that there are types for, and with a doc for everything.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./support/package.mjs";
import { project, test, tool } from "./support/toolchains.mjs";

const fixtures = join(root, "tests", "node", "fixtures");
const compiler = tool("typescript", "lib", "tsc.js");

test("TypeScript 5.2 takes the types, also where its library lacks disposables", async () => {
  assert.match(await run(process.execPath, [compiler, "--version"], root), /^Version 5\.2\./);
  const fixture = readFileSync(join(fixtures, "types.ts"), "utf8");
  const plain = `import { Client } from "leaselock";\nawait new Client().close();\n`;
  const folder = await project({ "esm.mts": fixture, "cjs.cts": fixture, "plain.mts": plain });
  const options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
  // Those of jest, beside the compiler here, are for newer ones.
  const types = ["--types", "node", "--typeRoots", join(root, "node_modules", "@types")];
  const target = ["--target", "es2022", "--skipLibCheck", "false", ...types];
  const node = ["--module", "node16", "--moduleResolution", "node16"];
  const compile = async (...more: string[]) =>
    await run(process.execPath, [compiler, ...options, ...target, ...node, ...more], folder);
  await compile("--lib", "es2022,esnext.disposable", "esm.mts", "cjs.cts");
  await compile("--lib", "es2022", "plain.mts");
});

test("every export, member and argument has a doc", async () => {
  const folder = await project({});
  for (const [entry, least] of [
    ["index", 100],
    ["nest", 12],
    ["bullmq", 6],
  ] as const) {
    const types = join(folder, "node_modules", "leaselock", "bindings-node", "dist", `${entry}.d.ts`);
    const program = [join(fixtures, "documented.mjs"), tool("typescript"), types];
    const lines = (await run(process.execPath, program, folder)).trim().split("\n");
    const [, looked] = /^(\d+) looked at$/.exec(lines.pop() ?? "") ?? [];
    assert.ok(Number(looked) > least, `only ${looked} of ${entry}`);
    assert.deepEqual(lines, []);
  }
});
