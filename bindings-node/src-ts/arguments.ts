// The types of arguments, checked before anything is sent. Ranges are the core's to check.

import { InvalidArgumentError } from "./errors.js";
import { made } from "./stacks.js";

/** A `TypeError` as Node's own functions throw it. It tells the type alone: a value may be a secret. */
function wrongType(what: string, expected: string, value: unknown): TypeError {
  const error = new TypeError(`${what} must be ${expected}, not ${typeName(value)}`);
  return made(Object.assign(error, { code: "ERR_INVALID_ARG_TYPE" }));
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) {
    return String(value);
  }
  if (typeof value === "object") {
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
    return typeof name === "string" && name !== "" ? `an instance of ${name}` : "an object";
  }
  return `a ${typeof value}`;
}

/** A string that is valid Unicode. */
export function string(what: string, value: unknown): string {
  if (typeof value !== "string") {
    throw wrongType(what, "a string", value);
  }
  // Converted to UTF-8 a lone surrogate would silently become another character, and another lock.
  if (!value.isWellFormed()) {
    throw made(new InvalidArgumentError(`${what} holds half of a surrogate pair, so it is not valid Unicode text`));
  }
  return value;
}

/** A number, of whatever value. */
export function number(what: string, value: unknown): number {
  if (typeof value !== "number") {
    throw wrongType(what, "a number", value);
  }
  return value;
}

/** Strings of an array or of anything else that gives them, and not one string, which gives its letters. */
export function someStrings(what: string, value: unknown): string[] {
  if (typeof value !== "object" || value === null || !(Symbol.iterator in value)) {
    throw wrongType(what, "an array of strings, or another iterable of them,", value);
  }
  return [...(value as Iterable<unknown>)].map((one) => string(`each of ${what}`, one));
}

/** The pairs of an object or a `Map` of strings. */
export function strings(what: string, value: unknown): [string, string][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(what, "an object or a Map of strings", value);
  }
  // Of another realm, too; and nothing is required before the addon, which says best that a bundle lacks it.
  const isMap = Object.prototype.toString.call(value) === "[object Map]";
  const pairs = isMap ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
  return pairs.map(([key, text]) => [string(`a key of ${what}`, key), string(`${what}["${key}"]`, text)]);
}

/** A boolean. */
export function boolean(what: string, value: unknown): boolean {
  if (typeof value !== "boolean") {
    throw wrongType(what, "a boolean", value);
  }
  return value;
}

/** An `AbortSignal`, of this or another realm. */
export function abortSignal(what: string, value: unknown): AbortSignal {
  const signal = value as AbortSignal | null;
  if (
    typeof signal !== "object" ||
    typeof signal?.aborted !== "boolean" ||
    typeof signal.addEventListener !== "function"
  ) {
    throw wrongType(what, "an AbortSignal", value);
  }
  return signal;
}

/** A function. */
export function callable<T>(what: string, value: T): T {
  if (typeof value !== "function") {
    throw wrongType(what, "a function", value);
  }
  return value;
}

/** `undefined` as it is, anything else checked. */
export function optional<T>(check: (what: string, value: unknown) => T, what: string, value: unknown): T | undefined {
  return value === undefined ? undefined : check(what, value);
}

/** An object of options of which all are known: one that is misspelt would otherwise be ignored in silence. */
export function options<T extends object>(
  caller: string,
  value: T | undefined,
  known: readonly (keyof T & string)[],
): T {
  if (value === undefined) {
    return {} as T;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(`the options of ${caller}`, "an object", value);
  }
  for (const key of Object.keys(value)) {
    if (!(known as readonly string[]).includes(key)) {
      const error = new TypeError(`${caller} has no option "${key}"; it knows ${known.join(", ")}`);
      throw made(Object.assign(error, { code: "ERR_UNKNOWN_OPTION" }));
    }
  }
  return value;
}
