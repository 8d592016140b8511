// Plays the scenario file on one store.

import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Plain, Run, type Scenario } from "./driver.mjs";

/** Scenarios mostly sleep; more at a time would spoil the times they measure. */
const AT_ONCE = 8;

const file = new URL("../../../scenarios/scenarios.json", import.meta.url);
const { scenarios } = JSON.parse(readFileSync(file, "utf8")) as { scenarios: Scenario[] };

delete process.env["LEASELOCK_URL"];
delete process.env["LEASELOCK_APP_ID"];

/** Where scenarios run. */
export interface Place {
  name: string;
  /** The kind of store, as the file names it. */
  kind: string;
  url: string;
  /** Makes a plain connection to it; there is none where there is no server. */
  plain?: () => Plain;
}

/** One test for each scenario that is for the place and `wanted`. */
export function play(place: Place, wanted = (_: Scenario) => true): void {
  test(`scenarios on ${place.name}`, { concurrency: AT_ONCE }, async (t) => {
    const one = (scenario: Scenario) =>
      t.test(`${scenario.id}: ${scenario.title} [${place.name}]`, { timeout: 60_000 }, () =>
        new Run(place.url, place.plain).play(scenario),
      );
    const meant = scenarios.filter((scenario) => (scenario.stores?.includes(place.kind) ?? true) && wanted(scenario));
    await Promise.all(meant.filter(({ exclusive }) => !exclusive).map(one));
    for (const scenario of meant.filter(({ exclusive }) => exclusive)) {
      await one(scenario);
    }
  });
}
