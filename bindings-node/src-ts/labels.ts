// Names of locks as labels of metrics: few, however many names there are.

import { warn } from "./warnings.js";

/** So many labels are told apart, and every other name is OTHER. */
const MOST = 100;
const OTHER = "other";
/** Names whose label is remembered. */
const CACHED = 10_000;

/**
 * What names of one kind have in common: up to the first `:`, `/`, `#`, digit or 8 hexadecimal digits, and a `*`.
 *
 * `order:42` is `order:*`, `job-7` is `job-*`, and `nightly-report` is itself.
 *
 * @param name The name of a lock.
 * @returns The label.
 */
export function family(name: string): string {
  const found = /[:/#]|\p{Nd}|[0-9A-Fa-f]{8}/u.exec(name);
  if (!found) {
    return name;
  }
  const isSeparator = ":/#".includes(found[0]);
  return `${name.slice(0, found.index)}${isSeparator ? found[0] : ""}*`;
}

/** The label of each name by a function, of which no more than MOST are told apart. */
export function labelsBy(label: (name: string) => string): (name: string) => string {
  const labels = new Set<string>();
  let failed = false;
  function asked(name: string): string {
    try {
      return String(label(name));
    } catch (error) {
      if (!failed) {
        failed = true;
        const text = `a function for labels failed for ${JSON.stringify(name)}; it is "${OTHER}", and what else fails is not told`;
        warn(`${text}: ${error}`, "LEASELOCK_LABEL");
      }
      return OTHER;
    }
  }
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
    const found = bounded(asked(name));
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

/** Who is counted in something that goes up and down, and as what: so that each leaves it once, and only if it was seen to enter. */
export class Inside<L> {
  readonly #labels = new Map<string, L>();
  readonly #count: (by: 1 | -1, labels: L) => void;

  constructor(count: (by: 1 | -1, labels: L) => void) {
    this.#count = count;
  }

  enter(owner: string, labels: L): void {
    this.#labels.set(owner, labels);
    this.#count(1, labels);
  }

  leave(owner: string): void {
    const labels = this.#labels.get(owner);
    if (labels !== undefined) {
      this.#labels.delete(owner);
      this.#count(-1, labels);
    }
  }

  /** Takes out all who are in it. */
  clear(): void {
    for (const owner of [...this.#labels.keys()]) {
      this.leave(owner);
    }
  }
}
