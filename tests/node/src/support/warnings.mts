// Collects the process warnings of this library while a test runs, in place of printing them.

import type { TestContext } from "node:test";

export interface Warned extends Error {
  code: string;
}

/** The warnings of leaselock from now to the test's end. */
export function collectWarnings(t: TestContext): Warned[] {
  const warnings: Warned[] = [];
  const others = process.listeners("warning");
  const listener = (warning: Error) => {
    if (warning.name === "LeaselockWarning") {
      warnings.push(warning as Warned);
      return;
    }
    for (const other of others) {
      other(warning);
    }
  };
  process.removeAllListeners("warning");
  process.on("warning", listener);
  t.after(() => {
    process.off("warning", listener);
    for (const other of others) {
      process.on("warning", other);
    }
  });
  return warnings;
}
