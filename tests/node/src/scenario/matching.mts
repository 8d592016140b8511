// Compares what a step gave with what the scenario expects.

/** Whether `actual` is what `expected` describes; see tests/scenarios/README.md. */
export function matches(actual: unknown, expected: unknown): boolean {
  if (Array.isArray(expected)) {
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((item, index) => matches(actual[index], item))
    );
  }
  if (typeof expected !== "object" || expected === null) {
    return actual === expected;
  }
  const form = expected as Record<string, unknown>;
  if (isOnly(form, "between")) {
    const [least, most] = form["between"] as [number, number];
    return typeof actual === "number" && least <= actual && actual <= most;
  }
  if (isOnly(form, "prefix")) {
    return typeof actual === "string" && actual.startsWith(form["prefix"] as string);
  }
  if (isOnly(form, "not")) {
    return !matches(actual, form["not"]);
  }
  return (
    typeof actual === "object" &&
    actual !== null &&
    Object.entries(form).every(
      ([field, value]) => Object.hasOwn(actual, field) && matches((actual as Record<string, unknown>)[field], value),
    )
  );
}

function isOnly(form: Record<string, unknown>, key: string): boolean {
  return Object.hasOwn(form, key) && Object.keys(form).length === 1;
}
