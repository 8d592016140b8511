// Turns operations of the addon into promises: each is submitted under a number, and answered under it later.

import type { Completion, Event, Failure } from "../native.js";
import { addon } from "./addon.js";
import { errorOf } from "./errors.js";

type Answer = (completion: Completion | undefined) => void;

const pending = new Map<number, Answer>();
let onEvent: (event: Event) => void = () => {};

/** One for this thread: workers load this module anew. */
export const reactor = new addon.Reactor((completions, events) => {
  for (const completion of completions) {
    const answer = pending.get(completion.op);
    pending.delete(completion.op);
    answer?.(completion);
  }
  for (const event of events) {
    onEvent(event);
  }
});

/** Says who hears of what happens without being asked for. */
export function listen(listener: (event: Event) => void): void {
  onEvent = listener;
}

/**
 * The value that a submitted operation ends with. An abort of `signal` ends it at once, with the signal's reason, and
 * undoes it. The promises inside never reject, so that only the caller's own can go unhandled.
 */
export async function result<T>(submitted: number | Failure, signal?: AbortSignal): Promise<T> {
  if (typeof submitted !== "number") {
    throw errorOf(submitted);
  }
  const answered = new Promise<Completion | undefined>((answer) => pending.set(submitted, answer));
  const completion = await (signal === undefined ? answered : abortable(submitted, answered, signal));
  if (completion === undefined) {
    throw signal?.reason;
  }
  if (completion.failure) {
    throw errorOf(completion.failure);
  }
  return completion.value as T;
}

async function abortable(
  op: number,
  answered: Promise<Completion | undefined>,
  signal: AbortSignal,
): Promise<Completion | undefined> {
  const abort = () => {
    const answer = pending.get(op);
    if (answer) {
      pending.delete(op);
      reactor.cancel(op);
      answer(undefined);
    }
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await answered;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
