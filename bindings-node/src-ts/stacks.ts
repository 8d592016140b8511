// Where the stack of an error begins: at the code that called this package, not in here.
//
// The errors are made where an answer arrives. V8 knows then who awaits it, all the way up to the caller, so nothing has to
// be noted down for a call that goes well.

/** A function or a class of the API. */
type Called = Parameters<typeof Error.captureStackTrace>[1];

const own = new WeakSet<object>();

/** Marks an error as made here: its stack is ours to change. */
export function made<E extends Error>(error: E): E {
  own.add(error);
  return error;
}

/** What `called` throws for `error`: the same, whose stack, if it was made here, begins at the caller. */
export function fromCaller(error: unknown, called: Called): unknown {
  if (error instanceof Error && own.has(error) && typeof Error.captureStackTrace === "function") {
    const { stack } = error;
    Error.captureStackTrace(error, called);
    if (typeof error.stack === "string" && !/\n\s+at /.test(error.stack)) {
      // Nobody awaits it, as with `.catch()`: better our own lines than none.
      Object.defineProperty(error, "stack", { value: stack, writable: true, configurable: true });
    }
  }
  return error;
}

/** Notes down where `called` was called: for an error that may come of it later. */
export function here(called: Called): Error {
  return fromCaller(made(new Error()), called) as Error;
}

/** Gives an error the place that was noted down. */
export function beginAt<E extends Error>(error: E, place: Error | undefined): E {
  // A program that formats stacks itself may make something else of one than a text.
  const frames = /^\s+at [\s\S]*/m.exec(String(place?.stack))?.[0];
  if (frames !== undefined) {
    const value = `${error.name}: ${error.message}\n${frames}`;
    Object.defineProperty(error, "stack", { value, writable: true, configurable: true });
  }
  return error;
}
