/**
 * Metrics of the locks of this thread for Prometheus, by `prom-client`.
 *
 * @packageDocumentation
 */

import { Counter, Gauge, Histogram, type Registry, register } from "prom-client";
import { ACQUIRE_BUCKETS, family, HOLD_BUCKETS, Inside, labelsBy } from "./labels.js";
import { observe } from "./observe.js";
import type { LockEvent, LossReason } from "./types.js";

export { family } from "./labels.js";

const REASONS: LossReason[] = ["expired", "taken", "released", "max_hold"];

/** What {@link instrument} takes. */
export interface PrometheusOptions {
  /** Where the metrics are registered; `prom-client`'s own `register` when it is not given. */
  registry?: Registry;
  /** Makes the label `lock` of a lock's name; {@link family} when it is not given. More than 100 are not told apart: the rest is `other`. */
  label?: (name: string) => string;
  /** Seconds that acquires take: the buckets of `leaselock_acquire_seconds`. */
  acquireBuckets?: number[];
  /** Seconds that leases are held: the buckets of `leaselock_hold_seconds`. */
  holdBuckets?: number[];
}

/**
 * Begins to count what happens to the locks of this thread. One call is enough for all clients, made before or after.
 *
 * @param options Where the metrics go, and how they are labelled.
 * @returns A function that ends it, and takes the metrics out of the registry.
 * @throws `Error` The registry has these metrics already.
 *
 * @example
 * ```ts
 * import { instrument } from "leaselock/prometheus";
 *
 * instrument();
 * ```
 */
export function instrument(options: PrometheusOptions = {}): () => void {
  const { registry = register, label = family, acquireBuckets = ACQUIRE_BUCKETS, holdBuckets = HOLD_BUCKETS } = options;
  const labelOf = labelsBy(label);
  const about = ["app_id", "lock"] as const;
  type About = (typeof about)[number];
  type Labels = Record<About, string>;
  function described<T extends string = never>(name: string, help: string, ...more: T[]) {
    return { name: `leaselock_${name}`, help, labelNames: [...about, ...more] as (About | T)[], registers: [registry] };
  }
  const metrics = {
    acquire: new Histogram({
      ...described("acquire_seconds", "Time that acquires took, by what came of them", "outcome"),
      buckets: acquireBuckets,
    }),
    hold: new Histogram({ ...described("hold_seconds", "Time that leases were held"), buckets: holdBuckets }),
    held: new Gauge(described("held", "Leases held now")),
    waiting: new Gauge(described("waiting", "Acquires waiting in line now")),
    contended: new Counter(described("contended_total", "Acquires that got a lock which someone else held at first")),
    lost: new Counter(described("lost_total", "Leases lost, by why", "reason")),
    renewed: new Counter(described("renewed_total", "Renewals and extensions of leases")),
    unsure: new Gauge(described("unsure", "Leases of which a renewal has failed, so that they may be lost")),
  };
  const holding = new Inside<Labels>((by, labels) => metrics.held.inc(labels, by));
  const waiting = new Inside<Labels>((by, labels) => metrics.waiting.inc(labels, by));
  const unsure = new Inside<Labels>((by, labels) => metrics.unsure.inc(labels, by));

  // From 0 on: an increase is seen only of what was there before.
  const begun = new Set<string>();
  function begin(labels: Labels): void {
    const key = JSON.stringify(labels);
    if (!begun.has(key)) {
      begun.add(key);
      metrics.acquire.zero({ ...labels, outcome: "acquired" });
      metrics.hold.zero(labels);
      for (const each of [metrics.held, metrics.waiting, metrics.contended, metrics.renewed, metrics.unsure]) {
        each.inc(labels, 0);
      }
      for (const reason of REASONS) {
        metrics.lost.inc({ ...labels, reason }, 0);
      }
    }
  }

  function onAcquire(event: LockEvent, waited: number, labels: Labels): void {
    metrics.acquire.observe({ ...labels, outcome: event.kind }, waited / 1000);
    waiting.leave(event.owner);
    if (event.kind === "acquired") {
      holding.enter(event.owner, labels);
      if (event.contended) {
        metrics.contended.inc(labels);
      }
    }
  }

  function onEnd(event: LockEvent, held: number, labels: Labels): void {
    metrics.hold.observe(labels, held / 1000);
    holding.leave(event.owner);
    unsure.leave(event.owner);
    if (event.reason) {
      metrics.lost.inc({ ...labels, reason: event.reason });
    }
  }

  const stop = observe((event) => {
    const labels = { app_id: event.appId, lock: labelOf(event.name) };
    begin(labels);
    if (event.waited !== undefined) {
      onAcquire(event, event.waited, labels);
    } else if (event.held !== undefined) {
      onEnd(event, event.held, labels);
    } else if (event.kind === "queued") {
      waiting.enter(event.owner, labels);
    } else if (event.kind === "renewed") {
      metrics.renewed.inc(labels);
      unsure.leave(event.owner);
    } else if (event.kind === "unsure") {
      unsure.enter(event.owner, labels);
    }
  });
  return () => {
    stop();
    for (const name of Object.values(metrics).map((metric) => (metric as unknown as { name: string }).name)) {
      registry.removeSingleMetric(name);
    }
  };
}
