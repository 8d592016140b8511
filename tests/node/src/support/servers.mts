// The servers under test, which tests/servers.py starts, and servers of a test's own.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";

export interface TestServer {
  name: string;
  url: string;
  binary: string;
}

/** Every server that tests run against; their modules fail to load without one. */
export const servers: TestServer[] = (() => {
  const json = process.env["LEASELOCK_TEST_SERVERS"];
  if (!json) {
    throw new Error("no servers to test against; run this as: python3 tests/servers.py -- npm test");
  }
  return JSON.parse(json) as TestServer[];
})();

/** A plain connection, as a Dapr application or an operator would have. It fails at once rather than retry. */
export function plainRedis(url: string): Redis {
  const redis = new Redis(url, { protocol: 2, retryStrategy: () => null, maxRetriesPerRequest: 0, lazyConnect: false });
  redis.on("error", () => {});
  return redis;
}

/** A loopback port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as { port: number };
  listener.close();
  await once(listener, "close");
  return port;
}

/** A server that a test may stop, restart and break. It keeps nothing on disk. */
export class OwnServer {
  readonly #binary: string;
  readonly #args: string[];
  readonly #folder = mkdtempSync(join(tmpdir(), "leaselock-node-"));
  #process: ChildProcess | undefined;
  readonly port: number;

  private constructor(binary: string, port: number, args: string[]) {
    this.#binary = binary;
    this.port = port;
    this.#args = args;
  }

  static async start(binary: string, ...args: string[]): Promise<OwnServer> {
    const server = new OwnServer(binary, await freePort(), args);
    await server.run();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Runs it, again after a `kill`, empty. */
  async run(): Promise<void> {
    const options = ["--bind", "127.0.0.1", "--port", `${this.port}`, "--save", "", "--appendonly", "no"];
    this.#process = spawn(this.#binary, [...options, "--dir", this.#folder, ...this.#args], { stdio: "ignore" });
    const redis = new Redis(this.url, { retryStrategy: () => 10, maxRetriesPerRequest: 500 });
    redis.on("error", () => {});
    try {
      await redis.ping();
    } catch (error) {
      // A server that asks for a password answers too.
      if (!String(error).includes("NOAUTH")) {
        throw error;
      }
    } finally {
      redis.disconnect();
    }
  }

  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process && process.exitCode === null && process.signalCode === null) {
      process.kill("SIGKILL");
      await once(process, "exit");
    }
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Repeats `probe` until it gives something else than `undefined` or `false`; fails after `within` milliseconds. */
export async function eventually<T>(
  what: string,
  probe: () => T | PromiseLike<T>,
  within = 5_000,
): Promise<Exclude<Awaited<T>, undefined | false>> {
  const deadline = performance.now() + within;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) {
      return value as Exclude<Awaited<T>, undefined | false>;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${within} ms`);
    }
    await sleep(10);
  }
}
