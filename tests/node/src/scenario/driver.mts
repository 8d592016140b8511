// Runs one scenario of tests/scenarios/scenarios.json on one store.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Client, Lease, LeaseGroup } from "leaselock";
import { eventually } from "../support/servers.mjs";
import { matches } from "./matching.mjs";
import { type Operation, operations } from "./operations.mjs";

/** One operation, its arguments, and what must come of it. */
export interface Step {
  op: string;
  expect?: unknown;
  error?: unknown;
  took?: [number, number];
  [argument: string]: unknown;
}

/** A scenario as the file has it. */
export interface Scenario {
  id: string;
  title: string;
  exclusive?: boolean;
  /** The kinds of stores that it is for; all, where there is no list. */
  stores?: string[];
  /** It runs from every language on every topology. */
  everywhere?: boolean;
  steps: Step[];
}

/** A plain connection, for the commands of a scenario. */
export interface Plain {
  call(name: string, ...args: (string | number)[]): Promise<unknown>;
  disconnect(): void;
}

/** Steps that only look at the server behind a client's back. */
const PLAIN_REDIS = ["redis", "until_redis"];

/** What came of a step: its result, or the error it failed with, and how long it took. */
type Outcome = { result: unknown; took: number } | { failure: unknown; took: number };

/** What a run of a scenario has made so far. */
export class Run {
  readonly id = randomBytes(6).toString("hex");
  readonly clients = new Map<string, Client>();
  readonly leases = new Map<string, Lease | LeaseGroup>();
  /** Leases without a name; they are held all the same. */
  readonly kept: (Lease | LeaseGroup)[] = [];
  readonly #tasks = new Map<string, { step: Step; ended: boolean; outcome: Promise<Outcome> }>();
  #redis: Plain | undefined;

  constructor(
    readonly url: string,
    /** Makes a plain connection; steps that need one are passed over where there is no server. */
    readonly plain: (() => Plain) | undefined,
  ) {}

  get redis(): Plain {
    assert.ok(this.plain);
    this.#redis ??= this.plain();
    return this.#redis;
  }

  client(name: unknown): Client {
    return known(this.clients, name, "client");
  }

  lease(name: unknown): Lease {
    const lease = this.held(name);
    assert.ok("token" in lease, `${name} is a group`);
    return lease;
  }

  /** A lease or a group. */
  held(name: unknown): Lease | LeaseGroup {
    return known(this.leases, name, "lease");
  }

  keep(lease: Lease | LeaseGroup, name: unknown): void {
    if (name === undefined) {
      this.kept.push(lease);
    } else {
      this.leases.set(name as string, lease);
    }
  }

  /** Runs the steps one after the other, then closes every client. */
  async play(scenario: Scenario): Promise<void> {
    try {
      for (const [index, step] of scenario.steps.entries()) {
        try {
          await this.#play(this.#filled(step));
        } catch (error) {
          const where = `step ${index + 1}, ${JSON.stringify(step)}`;
          throw new Error(`${where}: ${error instanceof Error ? error.message : error}`, { cause: error });
        }
      }
      assert.deepEqual([...this.#tasks.keys()], [], "background steps that nothing joined");
    } finally {
      await Promise.allSettled([...this.clients.values()].map((client) => client.close()));
      this.#redis?.disconnect();
    }
  }

  async #play(step: Step): Promise<void> {
    if (!this.plain && PLAIN_REDIS.includes(step.op)) {
      return;
    }
    switch (step.op) {
      case "start": {
        const task = { step: step["step"] as Step, ended: false, outcome: this.#perform(step["step"] as Step) };
        task.outcome.then(() => {
          task.ended = true;
        });
        this.#tasks.set(step["task"] as string, task);
        return;
      }
      case "pending":
        judge(step, { result: !known(this.#tasks, step["task"], "task").ended, took: 0 });
        return;
      case "join": {
        const task = known(this.#tasks, step["task"], "task");
        await eventually("the background step ends", () => task.ended, 15_000);
        this.#tasks.delete(step["task"] as string);
        judge(task.step, await task.outcome);
        return;
      }
      default:
        judge(step, await this.#perform(step));
    }
  }

  async #perform(step: Step): Promise<Outcome> {
    const operation = operations[step.op] as Operation | undefined;
    assert.ok(operation, `no operation is called ${step.op}`);
    const start = performance.now();
    try {
      const result = await operation(this, step);
      return { result, took: performance.now() - start };
    } catch (failure) {
      return { failure, took: performance.now() - start };
    }
  }

  /** The step with its placeholders replaced; a background step's too. */
  #filled<T>(value: T): T {
    if (typeof value === "string") {
      return value
        .replaceAll("<run>", this.id)
        .replaceAll(/<owner:(\w+)>/g, (_, name) => this.lease(name).owner)
        .replaceAll(/<token:(\w+)>/g, (_, name) => String(this.lease(name).token))
        .replaceAll(/<repeat:(.*?):(\d+)>/gu, (_, text, times) => text.repeat(Number(times))) as T;
    }
    if (Array.isArray(value)) {
      return value.map((item) => this.#filled(item)) as T;
    }
    if (typeof value === "object" && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#filled(item)])) as T;
    }
    return value;
  }
}

function known<T>(map: Map<string, T>, name: unknown, kind: string): T {
  const value = map.get(name as string);
  assert.ok(value !== undefined, `no ${kind} is called ${name}`);
  return value;
}

/** Throws unless the outcome is the one that the step expects. */
function judge(step: Step, outcome: Outcome): void {
  if (step.took) {
    const [least, most] = step.took;
    const took = Math.round(outcome.took);
    assert.ok(least <= took && took <= most, `it took ${took} ms, not ${least} to ${most}`);
  }
  if ("failure" in outcome) {
    if (!Object.hasOwn(step, "error")) {
      throw outcome.failure;
    }
    const { name, code, reason = null } = outcome.failure as { name: string; code: string; reason?: string };
    const failure = { name, code, reason };
    assert.ok(matches(failure, step.error), `it failed with ${outcome.failure}: ${JSON.stringify(failure)}`);
    return;
  }
  const given = JSON.stringify(outcome.result);
  assert.ok(!Object.hasOwn(step, "error"), `it did not fail, but gave ${given}`);
  if (Object.hasOwn(step, "expect")) {
    assert.ok(matches(outcome.result, step.expect), `it gave ${given}, not ${JSON.stringify(step.expect)}`);
  }
}
