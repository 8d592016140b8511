// Turns operations of the addon into promises: each is submitted under a number, and answered under it later.

import type { Completion, Event, Failure, NativeClient, Reactor } from "../native.js";
import { onAbort } from "./aborts.js";
import { addon } from "./addon.js";
import { errorOf } from "./errors.js";

/** Who waits for which operation. `undefined` tells that it was aborted. */
const pending = new Map<number, (completion: Completion | undefined) => void>();
let onEvent: (event: Event) => void = () => {};

let instance: Reactor | undefined;

/** The one of this thread, whose first client starts it; workers load this module anew. */
export function reactor(): Reactor {
  instance ??= new addon.Reactor((completions, events) => {
    for (const completion of completions) {
      pending.get(completion.op)?.(completion);
      pending.delete(completion.op);
    }
    for (const event of events) {
      onEvent(event);
    }
  });
  return instance;
}

/** Says who hears of what happens without being asked for. */
export function listen(listener: (event: Event) => void): void {
  onEvent = listener;
}

/** The value that a submitted operation ends with. */
export async function result<T>(submitted: number | Failure): Promise<T> {
  return unwrap((await answer(numberOf(submitted))) as Completion);
}

/** The same for an acquire of `client`: an abort of `signal` ends it at once, with the signal's reason, and undoes it. */
export async function abortableResult<T>(
  client: NativeClient,
  submitted: number | Failure,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) {
    return await result(submitted);
  }
  const op = numberOf(submitted);
  const answered = answer(op);
  const stopListening = onAbort(signal, () => {
    const give = pending.get(op);
    if (give) {
      pending.delete(op);
      client.cancel(op);
      give(undefined);
    }
  });
  const completion = await answered;
  stopListening();
  if (completion === undefined) {
    throw signal.reason;
  }
  return unwrap(completion);
}

function numberOf(submitted: number | Failure): number {
  if (typeof submitted === "number") {
    return submitted;
  }
  throw errorOf(submitted);
}

/** Never rejects, so that only the caller's own promise can go unhandled. */
function answer(op: number): Promise<Completion | undefined> {
  return new Promise((resolve) => pending.set(op, resolve));
}

function unwrap<T>(completion: Completion): T {
  if (completion.failure) {
    throw errorOf(completion.failure);
  }
  return completion.value as T;
}
