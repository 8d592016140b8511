// What happens without being asked for: published on the diagnostics channel, told to leases, warned about.

import type { Event } from "../native.js";
import { channel } from "./builtins.js";
import { answerCall, dropFunction } from "./credentials.js";
import { tellLost } from "./lease.js";
import { tellObservers } from "./observe.js";
import { listen, reactor } from "./reactor.js";
import type { LeaselockEvent } from "./types.js";
import { warn } from "./warnings.js";

const diagnostics = channel("leaselock");

function publish(event: LeaselockEvent): void {
  if (diagnostics.hasSubscribers) {
    diagnostics.publish(event);
  }
}

function handle(event: Event): void {
  switch (event.kind) {
    case "lost": {
      // It is published when the core reports it.
      tellLost(event.owner);
      break;
    }
    case "collected": {
      const { name, owner } = event;
      publish({ event: "collected", name, owner });
      warn(
        `a lease on ${JSON.stringify(name)} was garbage-collected without being released; ` +
          "it is given back now, but release leases with client.using(), await using or lease.release()",
        "LEASELOCK_COLLECTED",
      );
      break;
    }
    case "groupCollected":
      for (const [at, name] of event.names.entries()) {
        publish({ event: "collected", name, owner: event.owners[at] as string });
      }
      warn(
        `a group of leases on ${event.names.map((name) => JSON.stringify(name)).join(", ")} was garbage-collected without ` +
          "being released; they are given back now, but release groups with client.usingAll(), await using or group.release()",
        "LEASELOCK_COLLECTED",
      );
      break;
    case "credentials":
      void answerCall(reactor(), event.function, event.call);
      break;
    case "credentialsOver":
      dropFunction(event.function);
      break;
    case "observed":
      tellObservers(event.events, event.gone);
      break;
    case "report":
      publish(event.fields as unknown as LeaselockEvent);
      break;
  }
}

/** Begins to handle what happens. */
export function startEvents(): void {
  listen(handle);
}
