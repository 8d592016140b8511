// Functions of credentials: kept here under numbers, and called when the core needs a connection.

import { callable, string } from "./arguments.js";
import { keepCause } from "./causes.js";
import type { Credentials } from "./types.js";

type Give = () => Credentials | PromiseLike<Credentials>;

/** The addon's end of a call. */
interface Desk {
  giveCredentials(call: number, user: string, password: string): void;
  refuseCredentials(call: number, cause: number): void;
}

const functions = new Map<number, Give>();
let last = 0;

/** Keeps a function until the core says that it is over; its number. */
export function keepFunction(value: unknown): number {
  const give = callable("credentials", value as Give);
  last += 1;
  functions.set(last, give);
  return last;
}

/** It will not be called any more. */
export function dropFunction(number: number): void {
  functions.delete(number);
}

/** Calls a function, and answers. Never rejects. */
export async function answerCall(desk: Desk, number: number, call: number): Promise<void> {
  try {
    const { user, password } = read(await functions.get(number)?.());
    desk.giveCredentials(call, user, password);
  } catch (cause) {
    desk.refuseCredentials(call, keepCause(cause));
  }
}

/** The values may be secrets, and are not shown. */
function read(given: unknown): { user: string; password: string } {
  if (typeof given !== "object" || given === null) {
    throw new TypeError("credentials must return { username, password }");
  }
  const { username, password } = given as Credentials;
  return {
    user: username === undefined ? "" : string("the username that credentials returned", username),
    password: string("the password that credentials returned", password),
  };
}
