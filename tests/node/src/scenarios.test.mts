// The scenario file, on every server and on the stores that need none.

import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { Run, type Scenario } from "./scenario/driver.mjs";
import { servers } from "./support/servers.mjs";
import { Folder, freshMemory } from "./support/stores.mjs";

/** Scenarios mostly sleep; more at a time would spoil the times they measure. */
const AT_ONCE = 8;

const file = new URL("../../scenarios/scenarios.json", import.meta.url);
const { scenarios } = JSON.parse(readFileSync(file, "utf8")) as { scenarios: Scenario[] };

delete process.env["LEASELOCK_URL"];
delete process.env["LEASELOCK_APP_ID"];

const folder = new Folder();
after(() => folder.remove());

const places = [
  ...servers.map(({ name, url }) => ({ name, kind: "redis", url })),
  { name: "file:", kind: "file", url: folder.url },
  { name: "memory:", kind: "memory", url: freshMemory() },
];

for (const { name, kind, url } of places) {
  test(`scenarios on ${name}`, { concurrency: AT_ONCE }, async (t) => {
    const play = (scenario: Scenario) =>
      t.test(`${scenario.id}: ${scenario.title} [${name}]`, { timeout: 60_000 }, () =>
        new Run(url, kind === "redis").play(scenario),
      );
    const meant = scenarios.filter(({ stores }) => stores?.includes(kind) ?? true);
    await Promise.all(meant.filter(({ exclusive }) => !exclusive).map(play));
    for (const scenario of meant.filter(({ exclusive }) => exclusive)) {
      await play(scenario);
    }
  });
}
