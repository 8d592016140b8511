/**
 * Metrics and traces of the locks of this thread by OpenTelemetry, by `@opentelemetry/api`.
 *
 * @packageDocumentation
 */

import {
  type Attributes,
  type MeterProvider,
  metrics,
  SpanStatusCode,
  type TracerProvider,
  trace,
} from "@opentelemetry/api";
import { ACQUIRE_BUCKETS, family, HOLD_BUCKETS, Inside, labelsBy } from "./labels.js";
import { observe } from "./observe.js";
import type { LockEvent } from "./types.js";

export { family } from "./labels.js";

/** What {@link instrument} takes. */
export interface OtelOptions {
  /** Where the metrics go; the global one when it is not given. */
  meterProvider?: MeterProvider;
  /** Where the spans go; the global one when it is not given. */
  tracerProvider?: TracerProvider;
  /**
   * Makes the attribute `leaselock.lock` of a lock's name, and the names of spans; {@link family} when it is not given. More
   * than 100 are not told apart: the rest is `other`. Spans have the whole name as well, as `leaselock.name`.
   */
  label?: (name: string) => string;
}

/**
 * Begins to measure and to trace what happens to the locks of this thread. One call is enough for all clients, made before or
 * after.
 *
 * Each acquire becomes a span, and each lease one when it ends; both are children of the span that was active when the lock
 * was asked for.
 *
 * @param options Where metrics and spans go, and how they are labelled.
 * @returns A function that ends it.
 *
 * @example
 * ```ts
 * import { instrument } from "leaselock/otel";
 *
 * instrument(); // after the SDK was started
 * ```
 */
export function instrument(options: OtelOptions = {}): () => void {
  const { meterProvider = metrics, tracerProvider = trace, label = family } = options;
  const labelOf = labelsBy(label);
  const { measure, stop } = measures(meterProvider);
  const tracer = tracerProvider.getTracer("leaselock");

  function span(what: string, event: LockEvent, milliseconds: number): void {
    const attributes: Attributes = {
      "leaselock.app_id": event.appId,
      "leaselock.name": event.name,
      "leaselock.owner": event.owner,
      "leaselock.outcome": event.kind,
      "leaselock.token": event.token,
      "leaselock.contended": event.contended,
      "leaselock.reason": event.reason,
      "error.type": event.error,
    };
    const startTime = event.at - milliseconds;
    const made = tracer.startSpan(`${what} ${labelOf(event.name)}`, { startTime, attributes });
    if (event.kind === "timed_out" || event.kind === "failed" || event.kind === "lost") {
      made.setStatus({ code: SpanStatusCode.ERROR, message: event.reason ?? event.error ?? event.kind });
    }
    made.end(event.at);
  }

  const stopObserving = observe((event) => {
    measure(event, { "leaselock.app_id": event.appId, "leaselock.lock": labelOf(event.name) });
    if (event.waited !== undefined) {
      span("acquire", event, event.waited);
    } else if (event.held !== undefined) {
      span("lease", event, event.held);
    }
  });
  return () => {
    stopObserving();
    stop();
  };
}

/** What measures events. */
function measures(provider: MeterProvider): { measure(event: LockEvent, about: Attributes): void; stop(): void } {
  const meter = provider.getMeter("leaselock");
  const acquire = meter.createHistogram("leaselock.acquire.duration", {
    unit: "s",
    description: "Time that acquires took, by what came of them",
    advice: { explicitBucketBoundaries: ACQUIRE_BUCKETS },
  });
  const hold = meter.createHistogram("leaselock.hold.duration", {
    unit: "s",
    description: "Time that leases were held, by how they ended",
    advice: { explicitBucketBoundaries: HOLD_BUCKETS },
  });
  const held = meter.createUpDownCounter("leaselock.held", { unit: "{lease}", description: "Leases held now" });
  const queue = meter.createUpDownCounter("leaselock.waiting", {
    unit: "{acquire}",
    description: "Acquires waiting in line now",
  });
  const contended = meter.createCounter("leaselock.contended", {
    unit: "{acquire}",
    description: "Acquires that got a lock which someone else held at first",
  });
  const lost = meter.createCounter("leaselock.lost", { unit: "{lease}", description: "Leases lost, by why" });
  const renewed = meter.createCounter("leaselock.renewed", {
    unit: "{renewal}",
    description: "Renewals and extensions of leases",
  });
  const uncertain = meter.createUpDownCounter("leaselock.unsure", {
    unit: "{lease}",
    description: "Leases of which a renewal has failed, so that they may be lost",
  });
  const holding = new Inside<Attributes>((by, about) => held.add(by, about));
  const waiting = new Inside<Attributes>((by, about) => queue.add(by, about));
  const unsure = new Inside<Attributes>((by, about) => uncertain.add(by, about));

  function onAcquire(event: LockEvent, waited: number, about: Attributes): void {
    const ended: Attributes = { ...about, "leaselock.outcome": event.kind };
    if (event.error) {
      ended["error.type"] = event.error;
    }
    acquire.record(waited / 1000, ended);
    waiting.leave(event.owner);
    if (event.kind === "acquired") {
      holding.enter(event.owner, about);
      if (event.contended) {
        contended.add(1, about);
      }
    }
  }

  function onEnd(event: LockEvent, milliseconds: number, about: Attributes): void {
    hold.record(milliseconds / 1000, { ...about, "leaselock.outcome": event.kind });
    holding.leave(event.owner);
    unsure.leave(event.owner);
    if (event.reason) {
      lost.add(1, { ...about, "leaselock.reason": event.reason });
    }
  }

  function measure(event: LockEvent, about: Attributes): void {
    if (event.waited !== undefined) {
      onAcquire(event, event.waited, about);
    } else if (event.held !== undefined) {
      onEnd(event, event.held, about);
    } else if (event.kind === "queued") {
      waiting.enter(event.owner, about);
    } else if (event.kind === "renewed") {
      renewed.add(1, about);
      unsure.leave(event.owner);
    } else if (event.kind === "unsure") {
      unsure.enter(event.owner, about);
    }
  }

  // Takes out of the counters for now what is in them, for whoever counts next.
  function stop(): void {
    for (const each of [holding, waiting, unsure]) {
      each.clear();
    }
  }
  return { measure, stop };
}
