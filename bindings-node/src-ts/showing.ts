// How a client and a lease show themselves, to `console.log` and in JSON: never with a URL, which may hold a password.

/** Where Node looks for a method that shows an object. */
export const SHOW: unique symbol = Symbol.for("nodejs.util.inspect.custom") as never;

/** `util.inspect`, as Node hands it to such a method. */
export type Inspect = (value: unknown, options?: object) => string;

/** The text for an object of the class `known`, or of one that extends it; `facts` is null for a mere prototype. */
export function shown(object: object, known: string, facts: object | null, options: object, inspect: Inspect): string {
  const type: unknown = object.constructor;
  // Bundlers rename the class itself, but not the `known` of it.
  const isExtended = typeof type === "function" && Object.getPrototypeOf(type) !== Function.prototype;
  return `${isExtended ? type.name : known} ${facts ? inspect(facts, options) : "{}"}`;
}
