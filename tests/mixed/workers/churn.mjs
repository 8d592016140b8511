// The churn in Node: a chain of promises for each task. `tests/mixed/README.md` says what it is told and answers.
import fs from "node:fs";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, LeaseLostError, LeaselockError, LockTimeoutError } from "leaselock";

process.stdout.write(`${process.pid}\n`);
// Whoever failed tries something else a moment later.
const AFTER_FAILURE = 20;
let orders, turns, log, clients;
const now = () => process.hrtime.bigint();

/** The lines of one task in the log, a write each. */
class Diary {
  constructor(task) {
    this.who = `${orders.tag}/${task}`;
  }

  note(event, name, { token = 0, until = 0, more = "", at = now() } = {}) {
    fs.writeSync(log, `${`${at} ${this.who} ${event} ${name} ${token} ${until} ${more}`.trimEnd()}\n`);
  }

  /** A write to the resource if the lease is held; else one that comes too late, and false. */
  writes(lease) {
    const { name, token } = lease;
    const at = now();
    const until = at + BigInt(Math.floor(lease.expiresIn * 1e6));
    try {
      lease.check();
    } catch (lost) {
      this.note("lost", name, { token, more: lost.reason });
      this.note("late", name, { token });
      return false;
    }
    this.note("holds", name, { token, until, at });
    return true;
  }
}

async function acquire(client, { name, ttl, wait, renew, cancel }, diary) {
  const options = { ttl, wait, renew, label: diary.who };
  if (cancel === null) return await client.acquire(name, options);
  const aborting = new AbortController();
  const timer = setTimeout(() => aborting.abort(), cancel);
  try {
    return await client.acquire(name, { ...options, signal: aborting.signal });
  } finally {
    clearTimeout(timer);
  }
}

async function takeTurn(client, turn, diary) {
  diary.note("wants", turn.name, { more: turn.wait });
  try {
    await hold(await acquire(client, turn, diary), turn, diary);
  } catch (error) {
    if (error instanceof LockTimeoutError) diary.note("timeout", turn.name);
    else if (error.name === "AbortError") diary.note("cancelled", turn.name);
    else if (error instanceof LeaselockError) {
      diary.note("failed", turn.name, { more: `${error.code}: ${error.message}` });
      await sleep(AFTER_FAILURE);
    } else throw error;
  }
}

/** Has the lease for a turn. One that fails half-way gives it back: collecting garbage would, but nobody knows when. */
async function hold(lease, turn, diary) {
  try {
    await use(lease, turn, diary);
  } catch (error) {
    await lease.release().catch(() => false); // what is told is the first failure
    throw error;
  }
}

async function use(lease, turn, diary) {
  const { name, token } = lease;
  for (const pause of turn.pauses) {
    if (!diary.writes(lease)) return;
    await sleep(pause);
  }
  if (turn.block) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, turn.block);
  if (turn.extend !== null) {
    diary.note("extends", name, { token });
    await lease.extend(turn.extend).catch((error) => {
      if (!(error instanceof LeaseLostError)) throw error; // the next look says so
    });
  }
  if (!diary.writes(lease)) return;
  if (turn.leave) {
    diary.note("left", name, { token });
    lease.detach();
  } else {
    diary.note("ends", name, { token });
    diary.note((await lease.release()) ? "released" : "gone", name, { token });
  }
}

const goOn = () => now() < BigInt(orders.end) && !(orders.until && fs.existsSync(orders.until));

async function run(task) {
  const diary = new Diary(task);
  const client = clients[task % clients.length];
  for (let at = orders.first + task * 61; goOn(); at++) {
    await takeTurn(client, turns[at % turns.length], diary);
  }
}

async function work(line) {
  orders = JSON.parse(line);
  turns = fs
    .readFileSync(orders.turns, "utf8")
    .trimEnd()
    .split("\n")
    .map((turn) => JSON.parse(turn));
  log = fs.openSync(orders.log, "a");
  const options = {
    commandTimeout: orders.command_timeout ?? undefined,
    addressMap: orders.address_map?.length ? Object.fromEntries(orders.address_map) : undefined,
  };
  clients = Array.from({ length: orders.clients }, () => new Client(undefined, options));
  await Promise.all(Array.from({ length: orders.tasks }, (_, task) => run(task)));
  fs.closeSync(log);
  process.stdout.write("done\n");
}

const close = () => Promise.all(clients.map((client) => client.close()));

await work(process.argv[2]);
for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line) {
    await close();
    await work(line);
  } else {
    const stats = clients.map((client) => client.stats());
    const sum = (counter) => stats.reduce((total, each) => total + each[counter], 0);
    process.stdout.write(`${JSON.stringify({ held: sum("held"), waiting: sum("waiting") })}\n`);
  }
}
await close();
