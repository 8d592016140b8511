// Names of locks as labels of metrics: few, however many names there are.

/** So many labels are told apart, and every other name is OTHER. */
const MOST = 100;
const OTHER = "other";
/** Names whose label is remembered. */
const CACHED = 10_000;

/**
 * What names of one kind have in common: up to the first `:`, `/`, `#` or digit, and a `*` for the rest.
 *
 * `order:42` is `order:*`, `job-7` is `job-*`, and `nightly-report` is itself.
 *
 * @param name The name of a lock.
 * @returns The label.
 */
export function family(name: string): string {
  const found = /[:/#]|\p{Nd}/u.exec(name);
  if (!found) {
    return name;
  }
  const isSeparator = ":/#".includes(found[0]);
  return `${name.slice(0, found.index)}${isSeparator ? found[0] : ""}*`;
}

/** The label of each name by a function, of which no more than MOST are told apart. */
export function labelsBy(label: (name: string) => string): (name: string) => string {
  const labels = new Set<string>();
  const cache = new Map<string, string>();
  function bounded(found: string): string {
    if (!labels.has(found)) {
      if (labels.size >= MOST) {
        return OTHER;
      }
      labels.add(found);
    }
    return found;
  }
  return (name) => {
    const cached = cache.get(name);
    if (cached !== undefined) {
      return cached;
    }
    const found = bounded(label(name));
    if (cache.size >= CACHED) {
      cache.clear();
    }
    cache.set(name, found);
    return found;
  };
}

/** Seconds: the buckets of how long acquires take. */
export const ACQUIRE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
/** Seconds: the buckets of how long leases are held. */
export const HOLD_BUCKETS = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];

/** Owners of which it is known that they are in a state, so that each leaves it once, and only if it was seen to enter. */
export class Owners {
  readonly #inside = new Set<string>();

  enter(owner: string): void {
    this.#inside.add(owner);
  }

  /** Whether it was inside. */
  leave(owner: string): boolean {
    return this.#inside.delete(owner);
  }
}
