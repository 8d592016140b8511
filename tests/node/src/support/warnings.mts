// Collects the process warnings of this library while a test runs.

import type { TestContext } from "node:test";

export interface Warned extends Error {
  code: string;
}

/** The warnings of leaselock from now to the test's end. */
export function collectWarnings(t: TestContext): Warned[] {
  const warnings: Warned[] = [];
  const listener = (warning: Error) => {
    if (warning.name === "LeaselockWarning") {
      warnings.push(warning as Warned);
    }
  };
  process.on("warning", listener);
  t.after(() => process.off("warning", listener));
  return warnings;
}
