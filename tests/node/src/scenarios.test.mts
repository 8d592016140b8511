// The scenario file, on every server.

import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Run, type Scenario } from "./scenario/driver.mjs";
import { servers } from "./support/servers.mjs";

/** Scenarios mostly sleep; more at a time would spoil the times they measure. */
const AT_ONCE = 8;

const file = new URL("../../scenarios/scenarios.json", import.meta.url);
const { scenarios } = JSON.parse(readFileSync(file, "utf8")) as { scenarios: Scenario[] };

delete process.env["LEASELOCK_URL"];
delete process.env["LEASELOCK_APP_ID"];

for (const server of servers) {
  test(`scenarios on ${server.name}`, { concurrency: AT_ONCE }, async (t) => {
    const play = (scenario: Scenario) =>
      t.test(`${scenario.id}: ${scenario.title} [${server.name}]`, { timeout: 60_000 }, () =>
        new Run(server.url).play(scenario),
      );
    await Promise.all(scenarios.filter(({ exclusive }) => !exclusive).map(play));
    for (const scenario of scenarios.filter(({ exclusive }) => exclusive)) {
      await play(scenario);
    }
  });
}
