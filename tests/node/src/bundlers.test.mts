// Bundles as users make and deploy them: each runs the quickstart from a folder that holds nothing else, or the bundler
// refuses, or the bundle says what to do.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext } from "node:test";
import { unique } from "./support/bench.mjs";
import { type Ran, root, run, tried } from "./support/package.mjs";
import { eventually, freePort, servers } from "./support/servers.mjs";
import { project, test, tool } from "./support/toolchains.mjs";

const STORE_URL = (servers[0] as { url: string }).url;

/** As an ES module, which imports by name. */
const IMPORTING = `
import { Client, LockTimeoutError } from "leaselock";
const name = process.env.NAME;
const client = new Client(process.env.STORE_URL);
const said = await client.using(name, { ttl: 5_000 }, async (lease) => {
  const error = await client.acquire(name, { wait: 10 }).catch((error) => error);
  return [lease.held, error instanceof LockTimeoutError, error.name];
});
console.log(...said);
await client.close();
`;
/** As CommonJS, which starts itself in a worker too. */
const REQUIRING = `
const { Client, LockTimeoutError } = require("leaselock");
const { isMainThread, Worker } = require("node:worker_threads");
const name = process.env.NAME;
const client = new Client(process.env.STORE_URL);
const use = () => client.using(name, { ttl: 5_000 }, async (lease) => {
  const error = await client.acquire(name, { wait: 10 }).catch((error) => error);
  return [lease.held, error instanceof LockTimeoutError, error.name];
});
(async () => {
  if (isMainThread) await new Promise((resolve) => new Worker(__filename).on("exit", resolve));
  const said = await use();
  await client.close();
  console.log(...said);
})();
`;
const SAID = "true true LockTimeoutError\n";

/** One project serves all bundlers but Next, which looks at its whole folder. */
let shared: Promise<string> | undefined;
const source = () => {
  shared ??= project({ "quick.mjs": IMPORTING, "quick.cjs": REQUIRING });
  return shared;
};

/** Runs a deployed bundle: `files` of the project, in a folder of their own, and the package beside them if so told. */
async function deployed(folder: string, out: string, file: string, withPackage = false): Promise<Ran> {
  const empty = mkdtempSync(join(tmpdir(), "leaselock-deployed-"));
  after(() => rmSync(empty, { recursive: true, force: true }));
  cpSync(join(folder, out), empty, { recursive: true });
  if (withPackage) {
    cpSync(join(folder, "node_modules"), join(empty, "node_modules"), { recursive: true });
  }
  return await tried(process.execPath, [file], empty, { STORE_URL, NAME: `job-${unique()}` });
}

function runs({ ok, stdout, stderr }: Ran, times = 1): void {
  assert.deepEqual([ok, stdout, stderr], [true, SAID.repeat(times), ""]);
}

const ESBUILD = ["--bundle", "--platform=node", "--log-level=warning"];

async function esbuild(...options: string[]): Promise<[folder: string, built: Ran]> {
  const folder = await source();
  return [folder, await tried(process.execPath, [tool("esbuild", "bin", "esbuild"), ...ESBUILD, ...options], folder)];
}

test("field bug 66: esbuild copies the addon, and refuses where it was not told to", async () => {
  const [folder, built] = await esbuild("quick.cjs", "--outdir=esbuild", "--loader:.node=copy");
  assert.deepEqual([built.ok, built.stderr.match(/ERROR|WARN/g)], [true, null], built.stderr);
  runs(await deployed(folder, "esbuild", "quick.js"), 2);

  const refused = await esbuild("quick.cjs", "--outdir=refused");
  assert.equal(refused[1].ok, false);
  assert.match(refused[1].stderr, /No loader is configured for "\.node" files: .*leaselock/);
});

test("field bug 66: esbuild leaves the package out", async () => {
  const options = ["--external:leaselock", "--outdir=external"];
  const [folder, built] = await esbuild("quick.mjs", "--format=esm", "--out-extension:.js=.mjs", ...options);
  assert.deepEqual([built.ok, built.stderr], [true, ""]);
  await esbuild("quick.cjs", ...options);
  runs(await deployed(folder, "external", "quick.mjs", true));
  runs(await deployed(folder, "external", "quick.js", true), 2);
});

test("field bug 66: an ES module of esbuild runs with a require, and says what to do without", async () => {
  const options = ["quick.mjs", "--format=esm", "--out-extension:.js=.mjs", "--loader:.node=copy"];
  const banner = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
  const [folder] = await esbuild(...options, "--outdir=esm", `--banner:js=${banner}`);
  runs(await deployed(folder, "esm", "quick.mjs"));

  await esbuild(...options, "--outdir=bare");
  const { ok, stderr } = await deployed(folder, "bare", "quick.mjs");
  assert.equal(ok, false);
  assert.match(
    stderr,
    /leaselock has no addon .* part of a bundle.*esbuild: --external:leaselock.*--loader:\.node=copy/,
  );
});

test("field bug 66: a bundle without its addon says what to do", async () => {
  const [folder, built] = await esbuild("quick.cjs", "--outdir=left", "--external:*.node", "--external:@leaselock/*");
  assert.deepEqual([built.ok, built.stderr], [true, ""]);
  const { ok, stderr } = await deployed(folder, "left", "quick.js");
  assert.equal(ok, false);
  for (const advice of ["--external:leaselock", "commonjs leaselock", "serverExternalPackages", "ssr.external"]) {
    assert.ok(stderr.includes(advice), stderr);
  }
});

test("field bug 66: ncc takes the addon along", async () => {
  const folder = await source();
  for (const [file, out, times] of [
    ["quick.mjs", "index.mjs", 1],
    ["quick.cjs", "index.cjs", 2],
  ] as const) {
    const to = `ncc-${times}`;
    await run(process.execPath, [tool("@vercel", "ncc", "dist", "ncc", "cli.js"), "build", file, "-o", to], folder);
    runs(await deployed(folder, to, out), times);
  }
});

test("field bug 66: webpack leaves the package out, takes the addon along with node-loader, and refuses without", async () => {
  const folder = await source();
  const build = `
    const webpack = require("webpack");
    const [entry, to] = process.argv.slice(1);
    const output = { path: process.cwd() + "/" + to, filename: "quick.cjs" };
    const module = process.env.NODE_LOADER ? { rules: [{ test: /\\.node$/, loader: "node-loader" }] } : {};
    const externals = process.env.EXTERNAL ? { leaselock: "commonjs leaselock" } : {};
    webpack({ mode: "production", target: "node", entry, output, module, externals }, (error, stats) => {
      console.log(error ?? stats.toString({ all: false, errors: true }));
      process.exitCode = error || stats.hasErrors() ? 1 : 0;
    });
  `;
  const webpack = (entry: string, to: string, env = {}) =>
    tried(process.execPath, ["-e", build, "--", entry, to], folder, env);

  for (const [file, times] of [
    ["./quick.mjs", 1],
    ["./quick.cjs", 2],
  ] as const) {
    assert.equal((await webpack(file, `external-${times}`, { EXTERNAL: "1" })).ok, true);
    runs(await deployed(folder, `external-${times}`, "quick.cjs", true), times);
  }

  assert.equal((await webpack("./quick.cjs", "loaded", { NODE_LOADER: "1" })).ok, true);
  runs(await deployed(folder, "loaded", "quick.cjs"), 2);

  const refused = await webpack("./quick.cjs", "refused");
  assert.equal(refused.ok, false);
  assert.match(refused.stdout, /leaselock\.[\w-]+\.node.*appropriate loader/s);
});

test("field bug 66: Vite leaves the package out of a build for a server", async () => {
  const folder = await source();
  const build = (to: string, ssr: string) => {
    const config = `{ configFile: false, logLevel: "warn", build: { ssr: "quick.mjs", outDir: "${to}" }, ssr: ${ssr} }`;
    return tried(
      process.execPath,
      ["--input-type=module", "-e", `await (await import("vite")).build(${config});`],
      folder,
    );
  };
  assert.equal((await build("vite", "{}")).ok, true);
  runs(await deployed(folder, "vite", "quick.mjs", true));
  assert.equal((await build("vite-external", '{ noExternal: true, external: ["leaselock"] }')).ok, true);
  runs(await deployed(folder, "vite-external", "quick.mjs", true));

  const refused = await build("vite-refused", "{ noExternal: true }");
  assert.equal(refused.ok, false);
  assert.match(refused.stderr, /Could not load .*leaselock\.[\w-]+\.node/);
});

const example = (name: string) => readFileSync(join(root, "examples", "node", "next", name), "utf8");
const NEXT = {
  "example.mjs": example("next.config.mjs"),
  "next.config.mjs": `
    import example from "./example.mjs";
    const root = process.env.TRACING_ROOT;
    export default { ...example, output: "standalone", outputFileTracingRoot: root, turbopack: { root } };
  `,
  "app/layout.js":
    "export default function Layout({ children }) { return <html lang='en'><body>{children}</body></html>; }",
  "app/page.js": "export default function Page() { return <p>It runs.</p>; }",
  "app/carts/[id]/checkout/route.js": example("route.js"),
};

/** Starts the server: where it answers. */
async function serve(t: TestContext, folder: string): Promise<string> {
  const PORT = String(await freePort());
  const env = {
    ...process.env,
    NODE_TEST_CONTEXT: undefined,
    PORT,
    HOSTNAME: "127.0.0.1",
    LEASELOCK_URL: STORE_URL,
    LEASELOCK_APP_ID: unique(),
  };
  const server = spawn(process.execPath, ["server.js"], { cwd: folder, env, stdio: "ignore" });
  t.after(async () => {
    server.kill("SIGKILL");
    await once(server, "exit");
  });
  const url = `http://127.0.0.1:${PORT}`;
  await eventually("the server answers", () => fetch(url).catch(() => undefined), 60_000);
  return url;
}

test("field bug 66: Next takes the addon into its standalone output, and the page's route answers", async (t) => {
  const folder = await project(NEXT);
  const tracing = tool("..");
  const env = { NEXT_TELEMETRY_DISABLED: "1", TRACING_ROOT: tracing };
  await run(process.execPath, [tool("next", "dist", "bin", "next"), "build"], folder, env);
  const empty = mkdtempSync(join(tmpdir(), "leaselock-deployed-"));
  t.after(() => rmSync(empty, { recursive: true, force: true }));
  cpSync(join(folder, ".next", "standalone"), empty, { recursive: true, verbatimSymlinks: true });
  const below = folder.slice(tracing.length + 1);
  const url = await serve(t, join(empty, below));
  const checkout = (cart: number) => fetch(`${url}/carts/${cart}/checkout`, { method: "POST" });
  const answers = await Promise.all([7, 7, 8].map(checkout));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 200, 423]);
  for (const answer of answers) {
    assert.equal(answer.headers.get("retry-after"), answer.status === 423 ? "1" : null);
    assert.ok(((await answer.json()) as { token?: number; error?: string })[answer.status === 423 ? "error" : "token"]);
  }
  assert.equal((await checkout(7)).status, 200);
});
