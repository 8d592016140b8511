// Process warnings, for what a user must know and no promise can tell.

/** Warns through the process: on stderr, unless somebody listens for `warning` events. */
export function warn(message: string, code: string): void {
  process.emitWarning(message, { type: "LeaselockWarning", code });
}
