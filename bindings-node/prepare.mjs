// What npm runs in a clone that is installed: `npm install` in it, or `npm install PATH` from elsewhere. It builds the package,
// and sees to it first that what that needs is there. The packages on the registry have no such script.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Says what is wrong and ends. */
function fail(words) {
  console.error(`leaselock: ${words}`);
  process.exit(1);
}

/** Runs npm in the clone, without the settings of the npm that runs this: those are for another folder. */
function npm(...args) {
  const own = Object.entries(process.env).filter(
    ([name]) =>
      !/^npm_(config_(?!registry|cache|userconfig|offline|prefer_)|package_|lifecycle_|command|execpath|node_execpath)/i.test(
        name,
      ) && name !== "INIT_CWD",
  );
  const done = spawnSync("npm", args, {
    cwd: root,
    env: Object.fromEntries(own),
    stdio: "inherit",
    shell: process.platform === "win32",
  });
  if (done.status !== 0) {
    fail(`\`npm ${args.join(" ")}\` in ${root} failed; what it said stands above`);
  }
}

if (spawnSync("cargo", ["--version"]).status !== 0) {
  fail(
    "the addon is built from source here, which needs cargo (Rust 1.88 or newer, from rustup.rs) and a C compiler. " +
      "`npm install leaselock` installs one that is built",
  );
}
// Installed by path, a clone is a link, and npm installs nothing in it.
if (
  !existsSync(join(root, "node_modules", "@napi-rs", "cli")) ||
  !existsSync(join(root, "node_modules", "typescript"))
) {
  npm("ci", "--ignore-scripts", "--no-audit", "--no-fund");
}
npm("run", "build");
