#!/usr/bin/env node
// The command `leaselock`.

import { addon } from "./addon.js";

// Node catches or ignores these for its own ends. Without a listener left they do again what they do to any program, and a command
// that `leaselock run` starts inherits no more than that.
const noop = () => {};
for (const signal of ["SIGINT", "SIGTERM", "SIGUSR1", "SIGXFSZ"] as const) {
  process.on(signal, noop).off(signal, noop);
}
process.exit(addon.cli(["leaselock", ...process.argv.slice(2)]));
