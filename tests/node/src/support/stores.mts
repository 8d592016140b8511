// The stores that need no server: a file in a folder of its own, and the memory of this process.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as nodeTest, type TestContext } from "node:test";
import { Client, type ClientOptions } from "leaselock";
import { unique } from "./bench.mjs";
import { Script } from "./subprocess.mjs";

/** A folder with one store in it, until `remove`. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "leaselock-node-"));
  readonly file = join(this.path, "locks.db");
  readonly url = `file:${this.file}`;

  /** What is in it. */
  get content(): string[] {
    return readdirSync(this.path).sort();
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The URL of a store in memory that no other test uses. */
export function freshMemory(): string {
  return `memory:${unique()}`;
}

/** What a test on a store without a server has at hand. */
export class Store {
  readonly name = `job-${unique()}`;
  readonly #clients: Client[] = [];

  constructor(
    readonly test: TestContext,
    readonly url: string,
  ) {}

  /** A client that is closed when the test ends. */
  client(options: ClientOptions = {}): Client {
    const client = new Client(this.url, options);
    this.#clients.push(client);
    return client;
  }

  /** Another process, with what `PRELUDE` gives it. */
  script(source: string, flags: string[] = []): Script {
    return new Script(source, [this.url, "", this.name], flags);
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close().catch(() => {})));
  }
}

/** A test on a file. */
export function fileTest(title: string, body: (store: Store, folder: Folder) => Promise<void>): void {
  nodeTest(`${title} [file:]`, { timeout: 60_000 }, async (t) => {
    const folder = new Folder();
    const store = new Store(t, folder.url);
    try {
      await body(store, folder);
    } finally {
      await store.end();
      folder.remove();
    }
  });
}

/** A test in memory. */
export function memoryTest(title: string, body: (store: Store) => Promise<void>): void {
  nodeTest(`${title} [memory:]`, { timeout: 60_000 }, async (t) => {
    const store = new Store(t, freshMemory());
    try {
      await body(store);
    } finally {
      await store.end();
    }
  });
}

/** A test on either of them. */
export function test(title: string, body: (store: Store) => Promise<void>): void {
  fileTest(title, body);
  memoryTest(title, body);
}
