// Locks that whoever is inside already enters again: the async context of the callback of `using`, with all that it starts.

import type { AsyncLocalStorage as Storage } from "node:async_hooks";
import { AsyncLocalStorage } from "./builtins.js";
import { InvalidArgumentError } from "./errors.js";
import { abandonScope, type Lease, leaveScope } from "./lease.js";
import { made } from "./stacks.js";
import type { AcquireOptions } from "./types.js";

/** Somebody who is inside, so many times. */
interface Inside {
  readonly lease: Lease;
  readonly options: string;
  times: number;
}

/** Those who are inside the re-entrant locks of one client. */
export class Insiders {
  #storage: Storage<ReadonlyMap<string, Inside>> | undefined;

  /** Runs `body` under the lease of whoever is inside, or else under one that `take` takes; the last to leave gives it back. */
  async using<T>(
    name: string,
    given: AcquireOptions,
    take: () => Promise<Lease>,
    body: (lease: Lease) => T | PromiseLike<T>,
  ): Promise<T> {
    this.#storage ??= new AsyncLocalStorage();
    const storage = this.#storage;
    const around = storage.getStore();
    const options = JSON.stringify([given.ttl, given.wait, given.renew, given.maxHold, given.minHold, given.label]);
    const known = around?.get(name);
    // What was started inside and goes on after everybody left is not inside any more.
    if (known && known.times > 0) {
      if (known.options !== options) {
        throw made(
          new InvalidArgumentError(
            `the lock ${JSON.stringify(name)} is entered again with other options than the first time; ` +
              "one lease cannot have both",
          ),
        );
      }
      known.lease.check();
      known.times += 1;
      return run(known, () => body(known.lease));
    }
    const inside: Inside = { lease: await take(), options, times: 1 };
    const within = new Map([...(around ?? []), [name, inside]]);
    return run(inside, () => storage.run(within, () => body(inside.lease)));
  }
}

async function run<T>(inside: Inside, body: () => T | PromiseLike<T>): Promise<T> {
  let value: T;
  try {
    value = await body();
  } catch (error) {
    inside.times -= 1;
    if (inside.times === 0) {
      await abandonScope(inside.lease);
    }
    throw error;
  }
  inside.times -= 1;
  if (inside.times === 0) {
    await leaveScope(inside.lease);
  }
  return value;
}
