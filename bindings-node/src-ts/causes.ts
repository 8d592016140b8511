// What functions of credentials threw, for the errors that it caused.

/** What failures may still refer to: they are told within moments. */
const MOST_CAUSES = 64;

const causes = new Map<number, unknown>();
let last = 0;

/** Keeps what was thrown; its number. */
export function keepCause(cause: unknown): number {
  last += 1;
  causes.set(last, cause);
  causes.delete(last - MOST_CAUSES);
  return last;
}

/** What was thrown, by its number. */
export function causeOf(number: number): unknown {
  return causes.get(number);
}
