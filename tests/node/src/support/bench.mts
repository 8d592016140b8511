// Tests that run on every server, with clients that are closed when they end.

import { randomBytes } from "node:crypto";
import { test as nodeTest, type TestContext } from "node:test";
import type { Redis } from "ioredis";
import { Client, type ClientOptions, type Lease } from "leaselock";
import { plainRedis, servers, type TestServer } from "./servers.mjs";

/** What a test on one server has at hand. */
export class Bench {
  /** An app id and names that no other test uses. */
  readonly app = `app-${unique()}`;
  readonly name = `job-${unique()}`;
  /** The key of `name`. */
  readonly key = `lock||${this.app}||${this.name}`;
  readonly #clients: Client[] = [];
  readonly #leases: Lease[] = [];
  #redis: Redis | undefined;

  constructor(
    readonly test: TestContext,
    readonly server: TestServer,
  ) {}

  /** A client of this test's app id, closed when the test ends. */
  client(options: ClientOptions = {}, url = this.server.url): Client {
    const client = new Client(url, { appId: this.app, ...options });
    this.#clients.push(client);
    return client;
  }

  /** Keeps a lease until the test ends: one that nobody refers to is given back. */
  keep(lease: Lease): Lease {
    this.#leases.push(lease);
    return lease;
  }

  /** A plain connection to the server. */
  get redis(): Redis {
    this.#redis ??= plainRedis(this.server.url);
    return this.#redis;
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close().catch(() => {})));
    this.#redis?.disconnect();
  }
}

/** A text that no other test uses. */
export function unique(): string {
  return randomBytes(6).toString("hex");
}

/** A test, once on each server. */
export function test(title: string, body: (bench: Bench) => Promise<void>, timeout = 60_000): void {
  for (const server of servers) {
    nodeTest(`${title} [${server.name}]`, { timeout }, async (t) => {
      const bench = new Bench(t, server);
      try {
        await body(bench);
      } finally {
        await bench.end();
      }
    });
  }
}
