// The servers under test, of the kinds that tests/servers.py finds, and servers of a test's own.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
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
    for (let attempt = 1; ; attempt += 1) {
      const server = new OwnServer(binary, await freePort(), args);
      try {
        await server.run();
        return server;
      } catch (error) {
        await server.stop();
        // Another test's server, or any connection, may have taken the port meanwhile.
        if (attempt === 5 || !String(error).includes("in use")) {
          throw error;
        }
      }
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Runs it, again after a `kill`, empty. */
  async run(): Promise<void> {
    const options = ["--bind", "127.0.0.1", "--port", `${this.port}`, "--save", "", "--appendonly", "no"];
    const file = join(this.#folder, "log");
    const log = openSync(file, "w");
    const server = spawn(this.#binary, [...options, "--dir", this.#folder, ...this.#args], {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#process = server;
    // What answers on the port may be another one, which was there first: ours says itself when it listens.
    await eventually(`${this.#binary} listens`, () => {
      const written = readFileSync(file, "utf8");
      assert.equal(server.exitCode, null, written);
      return written.includes("Ready to accept connections");
    });
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

  /** Lets the process end while it runs, and ends it then. */
  endWithProcess(): void {
    const server = this.#process;
    server?.unref();
    process.on("exit", () => {
      server?.kill("SIGKILL");
      rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Every server that tests run against; their modules fail to load without one. Each file of tests is a process of its
 * own under `node --test` and has servers of its own, as files run side by side; they end with the process.
 */
export const servers: TestServer[] = await (async () => {
  const json = process.env["LEASELOCK_TEST_SERVERS"];
  if (!json) {
    throw new Error("no servers to test against; run this as: python3 tests/servers.py -- npm test");
  }
  return await Promise.all(
    (JSON.parse(json) as TestServer[]).map(async ({ name, binary }) => {
      const server = await OwnServer.start(binary);
      server.endWithProcess();
      return { name, binary, url: server.url };
    }),
  );
})();

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
