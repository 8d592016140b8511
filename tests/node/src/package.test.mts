// The package as its users get it: packed, installed, imported and required, and its types under either.

import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import * as imported from "leaselock";
import { makeProject, pack, root, run as runIn } from "./support/package.mjs";

const bin = (name: string) => join(root, "node_modules", ".bin", name);
const project = mkdtempSync(join(tmpdir(), "leaselock-package-"));
let tarball: string;

/** Runs a program in the project. */
const run = (program: string, args: string[]) => runIn(program, args, project);

before(async () => {
  tarball = await pack(project);
  await makeProject(project, tarball);
});

after(() => rmSync(project, { recursive: true, force: true }));

it("import and require give the very same classes", () => {
  const required = createRequire(import.meta.url)("leaselock") as typeof imported;
  const names = Object.keys(required).sort();
  assert.deepEqual(names, [
    "Client",
    "ClientClosedError",
    "ExtendStatus",
    "InvalidArgumentError",
    "Lease",
    "LeaseGroup",
    "LeaseLostError",
    "LeaselockError",
    "LockTimeoutError",
    "ReleaseStatus",
    "StoreRefusedError",
    "StoreUnavailableError",
    "observe",
  ]);
  for (const name of names as (keyof typeof imported)[]) {
    assert.equal(imported[name], required[name], name);
  }
});

it("the package holds what it needs and nothing else", async () => {
  const files = (await run("tar", ["-tzf", tarball])).trim().split("\n");
  const needless = files.filter(
    (file) =>
      !/^package\/(package\.json|README\.md|LICENSE|CHANGELOG\.md|bindings-node\/native\.d\.ts)$/.test(file) &&
      !/^package\/bindings-node\/dist\/[\w.-]+\.(js|d\.ts|node)$/.test(file),
  );
  assert.deepEqual(needless, []);
  for (const needed of [/dist\/index\.js$/, /dist\/index\.d\.ts$/, /dist\/leaselock\..*\.node$/, /LICENSE$/]) {
    assert.ok(
      files.some((file) => needed.test(file)),
      String(needed),
    );
  }
});

it("works installed, by import and by require, and both at once", async () => {
  writeFileSync(
    join(project, "esm.mjs"),
    `import { Client, LockTimeoutError } from "leaselock";
     import * as all from "leaselock";
     import whole from "leaselock";
     import { createRequire } from "node:module";
     const required = createRequire(import.meta.url)("leaselock");
     console.log(required.Client === Client, whole.Client === Client, "ReleaseStatus" in all);
     await new Client("redis://127.0.0.1:1").close();`,
  );
  writeFileSync(
    join(project, "cjs.cjs"),
    `const { Client, LeaselockError } = require("leaselock");
     import("leaselock").then((imported) => console.log(imported.Client === Client));
     new Client("redis://127.0.0.1:1", { commandTimeout: 100 }).acquire("name", { wait: 0 })
       .catch((error) => console.log(error instanceof LeaselockError));`,
  );
  assert.equal(await run(process.execPath, ["esm.mjs"]), "true true true\n");
  assert.equal(await run(process.execPath, ["cjs.cjs"]), "true\ntrue\n");
});

it("the main entry loads nothing of the subpaths, and each says which framework it is for", async () => {
  const list = "console.log(JSON.stringify(Object.keys(require.cache).map((path) => require('path').basename(path))))";
  const loaded: string[] = JSON.parse(await run(process.execPath, ["-e", `require("leaselock"); ${list}`]));
  assert.ok(loaded.includes("client.js"));
  assert.deepEqual(
    loaded.filter((name) => /^(nest|bullmq|holding|otel|prometheus)/.test(name)),
    [],
  );
  for (const [subpath, needed] of [
    ["nest", "@nestjs/common"],
    ["bullmq", "bullmq"],
    ["otel", "@opentelemetry/api"],
    ["prometheus", "prom-client"],
  ]) {
    const missing = run(process.execPath, ["-e", `require("leaselock/${subpath}")`]);
    await assert.rejects(missing, new RegExp(`Cannot find module '${needed}'`));
  }
});

it("brings the command", async () => {
  assert.match(await run(join(project, "node_modules", ".bin", "leaselock"), ["--version"]), /^leaselock \d/);
});

it("its types hold for strict users of ES modules and of CommonJS", async () => {
  mkdirSync(join(project, "node_modules", "@types"), { recursive: true });
  symlinkSync(join(root, "node_modules", "@types", "node"), join(project, "node_modules", "@types", "node"));
  symlinkSync(join(root, "node_modules", "undici-types"), join(project, "node_modules", "undici-types"));
  const fixture = join(root, "tests", "node", "fixtures", "types.ts");
  cpSync(fixture, join(project, "esm.mts"));
  cpSync(fixture, join(project, "cjs.cts"));
  const options = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
  const target = ["--target", "es2022", "--lib", "es2022", "--types", "node", "--skipLibCheck", "false"];
  for (const mode of ["node16", "nodenext"]) {
    await run(bin("tsc"), [...options, ...target, "--module", mode, "--moduleResolution", mode, "esm.mts", "cjs.cts"]);
  }
  const bundler = ["--module", "esnext", "--moduleResolution", "bundler"];
  await run(bin("tsc"), [...options, ...target, ...bundler, "esm.mts"]);
});

it("publint and attw find nothing wrong", async () => {
  await run(bin("publint"), ["run", tarball, "--strict"]);
  await run(bin("attw"), [tarball, "--format", "ascii", "--no-color"]);
});

it("says what is missing and what to do where there is no addon that loads", async () => {
  const installed = join(project, "node_modules", "leaselock", "bindings-node", "dist");
  const bare = join(project, "bare");
  cpSync(installed, bare, { recursive: true, filter: (file) => !file.endsWith(".node") });
  const refused = (words: RegExp, before = "") =>
    assert.rejects(run(process.execPath, ["-e", `${before} require("./bare/index.js")`]), words);
  const { platform, arch } = process;
  await refused(
    new RegExp(`no addon for ${platform} on ${arch} .*looked for .*@leaselock/node-${platform}-${arch}`, "s"),
  );
  await refused(/--omit=optional.*made on another system: remove both and install again/s);
  await refused(
    /no addon for sunos on .*it is built for linux-x64-gnu, .*`npm install PATH` of a clone/s,
    'Object.defineProperty(process, "platform", { value: "sunos" });',
  );
  const ending = { linux: "-gnu", win32: "-msvc" }[platform as string] ?? "";
  writeFileSync(join(bare, `leaselock.${platform}-${arch}${ending}.node`), "no addon");
  await refused(/what is installed does not load: leaselock\..*\.node \(.*another C library, or an older system/s);
});

for (const folder of [".", "tests/toolchains", "tests/frameworks/node/oldest", "tests/frameworks/node/newest"]) {
  it(`the lock file in ${folder} holds every platform's packages, and names no registry`, () => {
    const lock = JSON.parse(readFileSync(join(root, folder, "package-lock.json"), "utf8")) as {
      packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }>;
    };
    const locked = new Set(Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, "")));
    for (const { optionalDependencies = {}, resolved } of Object.values(lock.packages)) {
      const missing = Object.keys(optionalDependencies).filter((name) => !locked.has(name));
      assert.deepEqual(missing, [], "`npm ci` refuses a lock file without them");
      assert.equal(resolved, undefined);
    }
  });
}

it("a clone that is installed where there is no cargo says what it needs", async () => {
  const prepare = runIn(process.execPath, ["bindings-node/prepare.mjs"], root, { PATH: project });
  await assert.rejects(
    prepare,
    /built from source here, which needs cargo .* and a C compiler\. `npm install leaselock`/,
  );
});

it("takes no dependency along", () => {
  const { dependencies, engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(dependencies, undefined);
  assert.equal(engines.node, ">=20");
});
