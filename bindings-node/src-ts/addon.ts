// Loads the addon that was built for this platform.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import type * as Addon from "../native.js";

/** Builds for this platform, as `napi build --platform` names them; on Linux there may be one for glibc and one for musl. */
function builds(): string[] {
  const prefix = `leaselock.${process.platform}-${process.arch}`;
  return readdirSync(__dirname).filter((file) => file.startsWith(prefix) && file.endsWith(".node"));
}

function load(): typeof Addon {
  const causes: unknown[] = [];
  for (const file of builds()) {
    try {
      return require(join(__dirname, file)) as typeof Addon;
    } catch (cause) {
      causes.push(cause);
    }
  }
  throw new Error(
    `leaselock has no addon for ${process.platform} on ${process.arch} that can be loaded from ${__dirname}; ` +
      "`npm install` in a clone of its repository builds one, with cargo and a C compiler",
    { cause: causes.length > 1 ? new AggregateError(causes) : causes[0] },
  );
}

export const addon = load();
