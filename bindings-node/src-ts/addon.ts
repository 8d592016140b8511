// Loads the addon that was built for this platform.
//
// Each file and package is spelled out in a `require` inside a `try`: so a bundler sees what it must take along, and that what it does
// not find may be missing.

import type * as Addon from "../native.js";

/** What it is built for. */
const BUILDS = [
  "linux-x64-gnu",
  "linux-x64-musl",
  "linux-arm64-gnu",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "win32-x64-msvc",
];
/** What was tried, and why it is not what is used. */
const failed: { name: string; cause: unknown }[] = [];

/** A build: in a package of its own, or beside this file, as `napi build --platform` leaves it in a clone. */
function load(build: string): typeof Addon | undefined {
  try {
    switch (build) {
      case "linux-x64-gnu":
        return require("./leaselock.linux-x64-gnu.node");
      case "linux-x64-musl":
        return require("./leaselock.linux-x64-musl.node");
      case "linux-arm64-gnu":
        return require("./leaselock.linux-arm64-gnu.node");
      case "linux-arm64-musl":
        return require("./leaselock.linux-arm64-musl.node");
      case "darwin-x64":
        return require("./leaselock.darwin-x64.node");
      case "darwin-arm64":
        return require("./leaselock.darwin-arm64.node");
      case "win32-x64-msvc":
        return require("./leaselock.win32-x64-msvc.node");
    }
  } catch (cause) {
    failed.push({ name: `leaselock.${build}.node`, cause });
  }
  try {
    switch (build) {
      case "linux-x64-gnu":
        return require("@leaselock/node-linux-x64-gnu");
      case "linux-x64-musl":
        return require("@leaselock/node-linux-x64-musl");
      case "linux-arm64-gnu":
        return require("@leaselock/node-linux-arm64-gnu");
      case "linux-arm64-musl":
        return require("@leaselock/node-linux-arm64-musl");
      case "darwin-x64":
        return require("@leaselock/node-darwin-x64");
      case "darwin-arm64":
        return require("@leaselock/node-darwin-arm64");
      case "win32-x64-msvc":
        return require("@leaselock/node-win32-x64-msvc");
    }
  } catch (cause) {
    failed.push({ name: `@leaselock/node-${build}`, cause });
  }
  return undefined;
}

function loadAny(): typeof Addon {
  const { platform, arch } = process;
  // Of the two on Linux, the one that is not for this C library is not installed, or fails to load.
  const builds = BUILDS.filter((build) => build.startsWith(`${platform}-${arch}`));
  for (const build of builds) {
    const addon = load(build);
    if (addon) {
      return addon;
    }
  }
  const causes = failed.map(({ cause }) => cause);
  throw new Error(`leaselock has no addon for ${platform} on ${arch} that can be loaded; ${whatToDo(builds)}`, {
    cause: causes.length > 1 ? new AggregateError(causes) : causes[0],
  });
}

function whatToDo(builds: string[]): string {
  // In a bundle this is another file, or none.
  if (typeof __filename !== "string" || !/[\\/]addon\.js$/.test(__filename)) {
    return (
      "it is part of a bundle, which did not take the addon along. Either leave leaselock out of the bundle, and install it " +
      "where that runs (esbuild: --external:leaselock; webpack: externals: { leaselock: 'commonjs leaselock' }; " +
      "Next: serverExternalPackages: ['leaselock']; Vite: ssr.external: ['leaselock']; Rollup: external: ['leaselock']; " +
      "ncc: --external leaselock), or have .node files copied (esbuild: --format=cjs --loader:.node=copy; webpack: node-loader)"
    );
  }
  const fromSource = "`npm install PATH` of a clone of its repository builds one, with cargo and a C compiler";
  if (builds.length === 0) {
    return `it is built for ${BUILDS.join(", ")}. ${fromSource}`;
  }
  const broken = failed.filter(({ cause }) => !isMissing(cause));
  if (broken.length > 0) {
    const said = broken.map(({ name, cause }) => `${name} (${cause instanceof Error ? cause.message : cause})`);
    return `what is installed does not load: ${said.join("; ")}. It may be for another C library, or an older system. ${fromSource}`;
  }
  const names = builds.map((build) => `@leaselock/node-${build}`);
  return (
    `none is installed: looked for ${failed.map(({ name }) => name).join(", ")}. npm installs ${names.join(" or ")} along with ` +
    "leaselock unless it is told to leave optional packages out (--omit=optional, --no-optional), or node_modules or the lock " +
    "file was made on another system: remove both and install again, on the system that it is to run on. In a clone, " +
    "`npm install` builds one"
  );
}

function isMissing(cause: unknown): boolean {
  return (cause as NodeJS.ErrnoException | null)?.code === "MODULE_NOT_FOUND";
}

export const addon = loadAny();
