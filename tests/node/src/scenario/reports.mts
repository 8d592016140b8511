// What the package publishes on its diagnostics channel, as scenarios look at it.

import { subscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import type { LeaselockEvent } from "leaselock";

const reports: LeaselockEvent[] = [];
subscribe("leaselock", (event) => {
  reports.push(event as LeaselockEvent);
});

/** The first of this kind about the lock; null where none comes within that many milliseconds. */
export async function reported(event: string, name: string, within: number): Promise<LeaselockEvent | null> {
  const giveUpAt = performance.now() + within;
  for (;;) {
    const found = reports.find((report) => report.event === event && "name" in report && report.name === name);
    if (found || performance.now() > giveUpAt) {
      return found ?? null;
    }
    await sleep(10);
  }
}
