// Runs the tests of what leaselock has for frameworks, on the oldest and on the newest releases that it is for:
// `node tests/frameworks/node/run.mjs`, with servers around it (tests/servers.py).
//
// Each end installs its frameworks into a folder that is kept, takes leaselock as it is packed, and compiles the tests and the
// examples as projects of its time are compiled. `ENDS=newest` runs that end alone, `ONLY=bullmq` the files whose names have that.

import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..", "..");
const EXAMPLES = ["bullmq.mjs", "express.mjs", "fastify.mjs", "nest.ts"];

// As the projects of `nest new` of that time are compiled.
const COMMON = {
  target: "es2022",
  strict: true,
  skipLibCheck: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  esModuleInterop: true,
  types: ["node"],
};
const ENDS = {
  oldest: { type: "commonjs", compilerOptions: { ...COMMON, module: "commonjs", moduleResolution: "node" } },
  newest: { type: "module", compilerOptions: { ...COMMON, module: "nodenext", moduleResolution: "nodenext" } },
};

// npm's own settings for its scripts must not reach the npm that is run here.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("npm_")));

function npm(cwd, ...args) {
  return execFileSync("npm", [...args, "--ignore-scripts", "--loglevel=error"], { cwd, env, encoding: "utf8" });
}

/** The frameworks of an end, unless they are there. */
function install(folder) {
  const wanted = createHash("sha256")
    .update(readFileSync(join(folder, "package-lock.json")))
    .digest("hex");
  const stamp = join(folder, "node_modules", ".stamp-frameworks");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    npm(folder, "ci", "--no-audit", "--no-fund");
    writeFileSync(stamp, wanted);
  }
}

/** A project of a user, with the package installed and all programs compiled: its folder. */
function build(end, tarball) {
  const folder = join(here, end);
  install(folder);
  const project = join(folder, "build");
  rmSync(project, { recursive: true, force: true });
  cpSync(join(here, "src"), project, { recursive: true });
  for (const name of EXAMPLES) {
    cpSync(join(root, "examples", "node", name), join(project, name));
  }
  const { type, compilerOptions } = ENDS[end];
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "user", private: true, type }));
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  npm(project, "install", "--offline", "--no-audit", "--no-fund", tarball);
  const tsc = join(folder, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", project], { stdio: "inherit" });
  return project;
}

const servers = JSON.parse(process.env.LEASELOCK_TEST_SERVERS ?? "[]");
if (servers.length === 0) {
  throw new Error("there is no server: .venv/bin/python tests/servers.py -- node tests/frameworks/node/run.mjs");
}
const packed = join(here, "build");
mkdirSync(packed, { recursive: true });
const [{ filename }] = JSON.parse(npm(root, "pack", "--json", "--pack-destination", packed));
for (const [i, end] of Object.keys(ENDS).entries()) {
  if (!(process.env.ENDS ?? end).split(",").includes(end)) {
    continue;
  }
  const project = build(end, join(packed, filename));
  const files = readdirSync(project).filter(
    (name) => /\.test\.js$/.test(name) && name.includes(process.env.ONLY ?? ""),
  );
  // The oldest on Redis, the newest on Valkey, where both are there.
  const { url } = servers[i % servers.length];
  const { status } = spawnSync(
    process.execPath,
    ["--test", "--test-concurrency=4", "--test-timeout=180000", ...files],
    {
      cwd: project,
      env: { ...env, REDIS_URL: url },
      stdio: "inherit",
    },
  );
  if (status !== 0) {
    process.exitCode = 1;
  }
}
