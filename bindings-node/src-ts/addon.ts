// Loads the addon that was built for this platform.
//
// Each file and package is spelled out in a `require` inside a `try`: so a bundler sees what it must take along, and that what it does
// not find may be missing.

import type * as Addon from "../native.js";

const causes: unknown[] = [];

/** A build, as `napi build --platform` names it: beside this file in a clone, in a package of its own otherwise. */
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
    }
  } catch (cause) {
    causes.push(cause);
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
    }
  } catch (cause) {
    causes.push(cause);
  }
  return undefined;
}

function loadAny(): typeof Addon {
  const { platform, arch } = process;
  // Of the two on Linux, the one that is not for this C library is not installed, or fails to load.
  const libraries = platform === "linux" ? ["-gnu", "-musl"] : [""];
  for (const library of libraries) {
    const addon = load(`${platform}-${arch}${library}`);
    if (addon) {
      return addon;
    }
  }
  throw new Error(`leaselock has no addon for ${platform} on ${arch} that can be loaded; ${whatToDo()}`, {
    cause: causes.length > 1 ? new AggregateError(causes) : causes[0],
  });
}

function whatToDo(): string {
  // In a bundle this is another file, or none.
  if (typeof __filename === "string" && /[\\/]addon\.js$/.test(__filename)) {
    return "`npm install` in a clone of its repository builds one, with cargo and a C compiler";
  }
  return (
    "it is part of a bundle, which did not take the addon along. Either leave leaselock out of the bundle, and install it " +
    "where that runs (esbuild: --external:leaselock; webpack: externals: { leaselock: 'commonjs leaselock' }; " +
    "Next: serverExternalPackages: ['leaselock']; Vite: ssr.external: ['leaselock']; Rollup: external: ['leaselock']; " +
    "ncc: --external leaselock), or have .node files copied (esbuild: --format=cjs --loader:.node=copy; webpack: node-loader)"
  );
}

export const addon = loadAny();
