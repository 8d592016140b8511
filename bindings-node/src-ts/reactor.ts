// Turns operations of the addon into promises: each is submitted under a number, and answered under it later.

import type {
  Event,
  Failure,
  NativeClient,
  NativeGroup,
  NativeLease,
  NativeLockInfo,
  Page,
  Reactor,
} from "../native.js";
import { onAbort } from "./aborts.js";
import { addon } from "./addon.js";
import { errorOf } from "./errors.js";

/** What an operation ends with. */
type Value = NativeLease | boolean | string | NativeLockInfo | Page | NativeGroup | Failure | null | undefined;

/** Who waits for which operation. */
const pending = new Map<number, (value: Value | typeof ABORTED) => void>();
const ABORTED = Symbol("aborted");
let onEvent: (event: Event) => void = () => {};

/**
 * Whether connections may be on the event loop: Node's is libuv. Bun's functions of those names end the process when they
 * are called, and Deno has a few of them only.
 */
const lines = !("bun" in process.versions) && !("deno" in process.versions);

let instance: Reactor | undefined;
let isObserving = false;

/** The one of this thread, whose first client starts it; workers load this module anew. */
export function reactor(): Reactor {
  instance ??= new addon.Reactor((ops, values, events) => {
    for (let at = 0; at < ops.length; at += 1) {
      const op = ops[at] as number;
      pending.get(op)?.(values[at]);
      pending.delete(op);
    }
    for (const event of events) {
      onEvent(event);
    }
  }, lines);
  instance.observing(isObserving);
  return instance;
}

/** Says whether anybody observes. */
export function observing(yes: boolean): void {
  isObserving = yes;
  instance?.observing(yes);
}

/** Says who hears of what happens without being asked for. */
export function listen(listener: (event: Event) => void): void {
  onEvent = listener;
}

/** The value that a submitted operation ends with. */
export async function result<T>(submitted: number | Failure): Promise<T> {
  return unwrap(await answer(numberOf(submitted)));
}

/** The same for an acquire of `client`: an abort of `signal` ends it at once, with the signal's reason, and undoes it. */
export async function abortableResult<T>(
  client: NativeClient,
  submitted: number | Failure,
  signal: AbortSignal,
): Promise<T> {
  const op = numberOf(submitted);
  const answered = answer(op);
  const stopListening = onAbort(signal, () => {
    const give = pending.get(op);
    if (give) {
      pending.delete(op);
      client.cancel(op);
      give(ABORTED);
    }
  });
  const value = await answered;
  stopListening();
  if (value === ABORTED) {
    throw signal.reason;
  }
  return unwrap(value);
}

function numberOf(submitted: number | Failure): number {
  if (typeof submitted === "number") {
    return submitted;
  }
  throw errorOf(submitted);
}

/** Never rejects, so that only the caller's own promise can go unhandled. */
function answer(op: number): Promise<Value | typeof ABORTED> {
  return new Promise((resolve) => pending.set(op, resolve));
}

function unwrap<T>(value: Value | typeof ABORTED): T {
  if (typeof value === "object" && value !== null && "code" in value) {
    throw errorOf(value);
  }
  return value as T;
}
