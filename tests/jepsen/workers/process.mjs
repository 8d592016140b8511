// A program of a crew in Node, as `README.md` describes it: `process.mjs LOCK ORDERS`.
import { once } from "node:events";
import { createRequire } from "node:module";
import net from "node:net";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const RETRY = 100;

/** The set, and what this program has been told. */
class SharedSet {
  #socket;
  #lines;
  #element;
  over = false;

  constructor({ process: number, port, url, name, ttl }) {
    Object.assign(this, { url, name, ttl });
    this.#element = number * 1_000_000;
    this.#socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.#lines = readline.createInterface({ input: this.#socket })[Symbol.asyncIterator]();
    this.#say(`hello ${process.pid}`);
  }

  /** Adds an element: reads, waits a little, looks at the lease, writes. */
  async add(token, held) {
    const [, answer, milliseconds, elements] = /^(\w+)(?: (\d+) (.*))?$/.exec(await this.#ask(`read ${token}`));
    this.over = answer === "over";
    if (answer !== "set") return;
    const numbers = JSON.parse(elements);
    await sleep(Number(milliseconds));
    this.#element += 1;
    numbers.push(this.#element);
    const flag = held ? Number(held()) : "-";
    await this.#ask(`write ${token} ${flag} ${this.#element} ${JSON.stringify(numbers)}`);
  }

  /** Something went wrong that is tried again. */
  failed(what) {
    this.#say(`failed ${what}`);
  }

  #say(line) {
    this.#socket.write(`${line}\n`);
  }

  async #ask(line) {
    this.#say(line);
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("the set has gone");
    return value;
  }

  async close() {
    this.#socket.end();
    await once(this.#socket, "close");
  }
}

async function leaselock(shared) {
  const { Client, LeaselockError } = await import("leaselock");
  const client = new Client();
  while (!shared.over) {
    try {
      const lease = await client.acquire(shared.name, { ttl: shared.ttl });
      await shared.add(lease.token, () => lease.held);
      await lease.release();
    } catch (error) {
      if (!(error instanceof LeaselockError)) throw error;
      shared.failed(error.code);
      await sleep(RETRY);
    }
  }
  await client.close();
}

/** node-redlock 5 as its documentation has it: `using`, which extends the lock while the routine runs. */
async function redlock(shared) {
  // Where `benches/setup.sh peers` has put it.
  const require = createRequire(new URL("../../../benches/node/", import.meta.url));
  const { Redis } = require("ioredis");
  const { default: Redlock, ExecutionError } = require("redlock");
  const clients = shared.url.split(" ").map((url) => new Redis(url));
  const redlock = new Redlock(clients);
  // For acquires alone: a release of what has run out would be tried for ever, too.
  const waiting = { retryCount: -1 };
  while (!shared.over) {
    try {
      await redlock.using([shared.name], shared.ttl, waiting, () => shared.add(0));
    } catch (error) {
      if (!(error instanceof ExecutionError)) throw error;
      shared.failed("release");
    }
  }
  await redlock.quit();
}

const [lock, orders] = process.argv.slice(2);
const shared = new SharedSet(JSON.parse(orders));
await { node: leaselock, redlock }[lock](shared);
await shared.close();
