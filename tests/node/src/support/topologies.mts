// The Sentinels and clusters that tests/servers.py --topologies has started, and plain commands to them.

import type { Redis } from "ioredis";
import { plainRedis } from "./servers.mjs";

export interface Topology {
  name: string;
  kind: "sentinel" | "cluster";
  url: string;
  /** Ports. */
  nodes: number[];
  sentinels: number[];
}

export const topologies = JSON.parse(process.env["LEASELOCK_TEST_TOPOLOGIES"] ?? "[]") as Topology[];

const SERVICE = "mymaster";

type Argument = string | number;

/**
 * A plain connection to the master, or to the primaries that have the keys of a command.
 *
 * In a cluster a command without a key goes to every primary. The token counter of an app id stands there for all the
 * counters that it has, one for each slot in use: the largest is what GET gives.
 */
export class TopologyPlain {
  readonly #topology: Topology;
  readonly #connections = new Map<number, Redis>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  async call(name: string, ...args: Argument[]): Promise<unknown> {
    if (this.#topology.kind === "sentinel") {
      return await this.#at(await this.#master()).call(name, ...args);
    }
    const keys = keysOf(name, args);
    const [first] = keys;
    if (first === undefined) {
      const primaries = await this.#primaries();
      return combined(await Promise.all(primaries.map((port) => this.#at(port).call(name, ...args))));
    }
    if (SUMMED.includes(name)) {
      const meant = await Promise.all(keys.map((key) => this.#meant(key)));
      return combined(await Promise.all(meant.flat().map((key) => this.#routed(name, key))));
    }
    const meant = await this.#meant(first);
    const named = (key: string) => args.map((argument) => (argument === first ? key : argument));
    const replies = await Promise.all(meant.map((key) => this.#routed(name, ...named(key))));
    return replies.reduce((largest, reply) => (Number(reply) > Number(largest) ? reply : largest));
  }

  disconnect(): void {
    for (const connection of this.#connections.values()) {
      connection.disconnect();
    }
  }

  #at(port: number): Redis {
    let connection = this.#connections.get(port);
    if (connection === undefined || connection.status === "end") {
      connection = plainRedis(`redis://127.0.0.1:${port}`);
      this.#connections.set(port, connection);
    }
    return connection;
  }

  async #master(): Promise<number> {
    const [sentinel = 0] = this.#topology.sentinels;
    const address = await this.#at(sentinel).call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE);
    return Number((address as string[])[1]);
  }

  async #primaries(): Promise<number[]> {
    const [node = 0] = this.#topology.nodes;
    const rows = (await this.#at(node).call("CLUSTER", "SLOTS")) as [number, number, [string, number]][];
    return [...new Set(rows.map(([, , [, port]]) => port))];
  }

  /** The counters of the cluster, where the key is an app id's. */
  async #meant(key: string): Promise<string[]> {
    const app = /^lock\|\|(.*)\|\|\|\|fence$/.exec(key)?.[1];
    if (app === undefined) {
      return [key];
    }
    const pattern = `{lock||*}||${app}||||fence`;
    const found = (await this.#primaries()).map((port) => this.#at(port).call("KEYS", pattern) as Promise<string[]>);
    const counters = (await Promise.all(found)).flat();
    return counters.length > 0 ? counters : [key];
  }

  async #routed(name: string, ...args: Argument[]): Promise<unknown> {
    let [port = 0] = this.#topology.nodes;
    for (let hops = 0; ; hops += 1) {
      try {
        return await this.#at(port).call(name, ...args);
      } catch (error) {
        const moved = /^MOVED \d+ .*:(\d+)$/.exec((error as Error).message)?.[1];
        if (moved === undefined || hops === 5) {
          throw error;
        }
        port = Number(moved);
      }
    }
  }
}

/** Asked key by key, and added up. */
const SUMMED = ["EXISTS", "DEL"];

/** The keys of a command, as far as the scenarios know any. */
function keysOf(name: string, args: Argument[]): string[] {
  if (SUMMED.includes(name)) {
    return args.map(String);
  }
  if (name === "EVAL") {
    return args.slice(2, 2 + Number(args[1])).map(String);
  }
  return ["FLUSHALL", "SCRIPT", "CLIENT", "PING"].includes(name) ? [] : args.slice(0, 1).map(String);
}

/** The sum of numbers, or the first of other replies. */
function combined(replies: unknown[]): unknown {
  const numbers = replies.filter((reply) => typeof reply === "number");
  return numbers.length > 0 ? numbers.reduce((sum, reply) => sum + reply) : replies[0];
}
