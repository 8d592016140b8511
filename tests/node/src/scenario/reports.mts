// What the package publishes on its diagnostics channel, as scenarios look at it.

import { subscribe } from "node:diagnostics_channel";
import { setTimeout as sleep } from "node:timers/promises";
import { type LeaselockEvent, type LockEvent, observe } from "leaselock";

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

const observations: LockEvent[] = [];
observe((event) => {
  observations.push(event);
});

/** The events of the lock, renewals if they are asked for, and of one label where there is one, once there are so many of them, or that many milliseconds have passed. */
export async function observed(
  name: string,
  label: string | undefined,
  renewals: boolean,
  count: number,
  within: number,
) {
  const giveUpAt = performance.now() + within;
  for (;;) {
    const found = observations.filter(
      (event) =>
        event.name === name &&
        (renewals || event.kind !== "renewed") &&
        (label === undefined || event.owner.startsWith(`${label}:`)),
    );
    if (found.length >= count || performance.now() > giveUpAt) {
      const empty = { token: null, waited: null, held: null, contended: null, reason: null, error: null };
      return found.map(({ appId, ...event }) => ({ ...empty, ...event, app_id: appId }));
    }
    await sleep(10);
  }
}
