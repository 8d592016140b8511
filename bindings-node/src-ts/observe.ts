// Observers: functions that are told what happens to the locks of this thread.

import type { AsyncResource as Resource } from "node:async_hooks";
import { AsyncResource } from "./builtins.js";
import { observing } from "./reactor.js";
import type { LockEvent } from "./types.js";

type Observer = (event: LockEvent) => void;

let observers: readonly Observer[] = [];

/** The async contexts of what is under way, by number. */
const contexts = new Map<number, Resource>();
let last = 0;

/**
 * Has a function called for everything that happens to locks of this thread: for metrics and traces.
 *
 * It hears of every client of the thread, made before or after, within some 50 ms. It runs in the async context in which the
 * lock was acquired, as `AsyncLocalStorage` sees it. What it throws becomes an uncaught exception. `client.close()` resolves
 * after it was told all. It does not keep the process alive.
 *
 * @param callback Called with one event.
 * @returns A function that ends it. Calling it again does nothing.
 * @throws `TypeError` The callback is not a function.
 *
 * @example
 * ```ts
 * const stop = observe((event) => console.log(event.kind, event.name, event.waited));
 * ```
 */
export function observe(callback: (event: LockEvent) => void): () => void {
  if (typeof callback !== "function") {
    throw new TypeError("observe: the callback must be a function");
  }
  const one: Observer = (event) => callback(event);
  observers = [...observers, one];
  observing(true);
  return () => {
    observers = observers.filter((other) => other !== one);
    observing(observers.length > 0);
  };
}

/** A number for the async context of now; none where nobody observes. */
export function contextNumber(): number | undefined {
  if (observers.length === 0) {
    return undefined;
  }
  last = (last + 1) % 2 ** 32;
  // Cheaper by far than a snapshot of AsyncLocalStorage.
  contexts.set(last, new AsyncResource("leaselock"));
  return last;
}

/** Tells the observers: pairs of an event and the number of its context, as JSON. */
export function tellObservers(json: string, gone: readonly number[]): void {
  const told = observers;
  for (const [event, number] of JSON.parse(json) as [LockEvent, number | null][]) {
    const context = number === null ? undefined : contexts.get(number);
    for (const observer of told) {
      try {
        if (context) {
          context.runInAsyncScope(observer, undefined, event);
        } else {
          observer(event);
        }
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
  for (const number of gone) {
    contexts.delete(number);
  }
}
