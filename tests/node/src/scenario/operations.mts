// The operations of the scenario file, in terms of this package.

import { setTimeout as sleep } from "node:timers/promises";
import {
  type AcquireOptions,
  Client,
  type Lease,
  type LeaseGroup,
  type LeaseLostError,
  type LockInfo,
} from "leaselock";
import { eventually } from "../support/servers.mjs";
import type { Run, Step } from "./driver.mjs";
import { matches } from "./matching.mjs";
import { observed, reported } from "./reports.mjs";

export type Operation = (run: Run, step: Step) => unknown;

/** An argument, or `undefined` where it is absent or the language's none. */
function given<T>(step: Step, argument: string): T | undefined {
  return (step[argument] ?? undefined) as T | undefined;
}

function acquireOptions(step: Step): AcquireOptions {
  const names = { ttl: "ttl", wait: "wait", renew: "renew", max_hold: "maxHold", min_hold: "minHold", label: "label" };
  return named(step, { ...names, shared: "shared", permits: "permits" });
}

/** The options that the step has, under their names here; one that is absent is not passed at all. */
function named(step: Step, names: Record<string, string>): object {
  return Object.fromEntries(
    Object.entries(names)
      .filter(([name]) => Object.hasOwn(step, name))
      .map(([name, option]) => [option, step[name] ?? undefined]),
  );
}

function info({ name, owner, expiresIn, waiters, mode, holders, holderCount }: LockInfo) {
  const each = holders.map((holder) => ({ owner: holder.owner, expires_in: holder.expiresIn }));
  return { name, owner, expires_in: expiresIn, waiters, mode, holders: each, holder_count: holderCount };
}

/** Resolves with the reason when the lease is lost, with null after `timeout`. */
async function lossReason(lease: Lease | LeaseGroup, timeout: number): Promise<string | null> {
  const { signal } = lease;
  if (!signal.aborted) {
    const timer = new AbortController();
    const lost = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([lost, sleep(timeout, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
  }
  return signal.aborted ? (signal.reason as LeaseLostError).reason : null;
}

async function command(run: Run, args: unknown): Promise<unknown> {
  const [name, ...rest] = args as [string, ...(string | number)[]];
  try {
    return await run.redis.call(name, ...rest);
  } catch (error) {
    const code = (error as Error).message.split(" ", 1)[0];
    throw Object.assign(new Error((error as Error).message), { name: "redis", code });
  }
}

const snake = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Each gives the result of a step, or throws the error it failed with. */
export const operations: Record<string, Operation> = {
  client(run, step) {
    const appId = given<string>(step, "app");
    const commandTimeout = given<number>(step, "command_timeout");
    run.clients.set(step["as"] as string, new Client(run.url, { appId, commandTimeout }));
    return null;
  },
  async acquire(run, step) {
    const lease = await run.client(step["client"]).acquire(step["name"] as string, acquireOptions(step));
    run.keep(lease, step["as"]);
    return null;
  },
  async try_acquire(run, step) {
    const lease = await run.client(step["client"]).tryAcquire(step["name"] as string, acquireOptions(step));
    if (lease === null) {
      return false;
    }
    run.keep(lease, step["as"]);
    return true;
  },
  async acquire_all(run, step) {
    const group = await run.client(step["client"]).acquireAll(step["names"] as string[], acquireOptions(step));
    run.keep(group, step["as"]);
    return null;
  },
  async try_acquire_all(run, step) {
    const group = await run.client(step["client"]).tryAcquireAll(step["names"] as string[], acquireOptions(step));
    if (group === null) {
      return false;
    }
    run.keep(group, step["as"]);
    return true;
  },
  lead(run, step) {
    const works = step["works"] as string[];
    const tokens: number[] = [];
    const names = { ttl: "ttl", max_hold: "maxHold", label: "label" };
    return run.client(step["client"]).lead(step["name"] as string, named(step, names), async (lease) => {
      const work = works[tokens.length];
      tokens.push(lease.token);
      if (work === "raise") {
        throw Object.assign(new Error("the work fails"), { name: "WorkError" });
      }
      if (work === "stay") {
        await sleep(60_000, undefined, { signal: lease.signal });
      }
      return { led: tokens.length, newer: tokens.every((token, at) => at === 0 || token > Number(tokens[at - 1])) };
    });
  },
  release_lease: (run, step) => run.held(step["lease"]).release(),
  release: (run, step) => run.client(step["client"]).release(step["name"] as string, step["owner"] as string),
  force_release: (run, step) => run.client(step["client"]).forceRelease(step["name"] as string),
  extend_by_owner: (run, step) =>
    run.client(step["client"]).extend(step["name"] as string, step["owner"] as string, step["ttl"] as number),
  async inspect(run, step) {
    const found = await run.client(step["client"]).inspect(step["name"] as string);
    return found && info(found);
  },
  async locks(run, step) {
    const found = [];
    for await (const lock of run.client(step["client"]).locks(step["pattern"] as string)) {
      found.push(info(lock));
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  },
  lease(run, step) {
    const lease = run.held(step["lease"]);
    const { ttl, expiresIn, state, held } = lease;
    if ("tokens" in lease) {
      const { names, tokens } = lease;
      return { names, tokens: [...tokens.values()], ttl, expires_in: expiresIn, state, held };
    }
    const { name, owner, token } = lease;
    return { name, owner, token, ttl, expires_in: expiresIn, state, held };
  },
  newer: (run, step) => run.lease(step["lease"]).token > run.lease(step["than"]).token,
  async extend(run, step) {
    await run.held(step["lease"]).extend(given(step, "ttl"));
    return null;
  },
  check(run, step) {
    run.held(step["lease"]).check();
    return null;
  },
  detach(run, step) {
    run.lease(step["lease"]).detach();
    return null;
  },
  wait_lost: (run, step) => lossReason(run.held(step["lease"]), step["timeout"] as number),
  stats(run, step) {
    const stats = run.client(step["client"]).stats();
    return Object.fromEntries(Object.entries(stats).map(([name, count]) => [snake(name), count]));
  },
  async close(run, step) {
    await run.client(step["client"]).close();
    return null;
  },
  async sleep(_, step) {
    await sleep(step["ms"] as number);
    return null;
  },
  async until_waiters(run, step) {
    const client = run.client(step["client"]);
    await eventually(`${step["count"]} waiters on ${step["name"]}`, async () => {
      const found = await client.inspect(step["name"] as string);
      return (found?.waiters ?? 0) === step["count"];
    });
    return null;
  },
  observed: (_, step) =>
    observed(
      step["name"] as string,
      given<string>(step, "label"),
      given<boolean>(step, "renewals") ?? false,
      step["count"] as number,
      step["within"] as number,
    ),
  reported: (_, step) => reported(step["event"] as string, step["name"] as string, step["within"] as number),
  redis: (run, step) => command(run, step["args"]),
  async until_redis(run, step) {
    const probe = async () => matches(await command(run, step["args"]), step.expect);
    await eventually(JSON.stringify(step["args"]), probe, step["within"] as number);
    // The reply has been judged; the step itself has no result to match.
    return step.expect;
  },
};
