// Listening to abort signals: one listener for each signal, however many calls it guards.
//
// Node warns of a leak from the eleventh listener on; and a signal that lives as long as the process must not gather any.

interface Guard {
  calls: Set<() => void>;
  listener: () => void;
}

const guards = new WeakMap<AbortSignal, Guard>();

/** Calls `abort` when `signal` is aborted, until the function that is returned is called. */
export function onAbort(signal: AbortSignal, abort: () => void): () => void {
  const guard = guards.get(signal) ?? start(signal);
  guard.calls.add(abort);
  return () => {
    guard.calls.delete(abort);
    if (guard.calls.size === 0 && guards.get(signal) === guard) {
      guards.delete(signal);
      signal.removeEventListener("abort", guard.listener);
    }
  };
}

function start(signal: AbortSignal): Guard {
  const calls = new Set<() => void>();
  const listener = () => {
    for (const abort of calls) {
      abort();
    }
  };
  const guard = { calls, listener };
  guards.set(signal, guard);
  signal.addEventListener("abort", listener, { once: true });
  return guard;
}
