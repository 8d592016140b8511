// A candidate of the election in Node. `tests/mixed/README.md` says what it is told and notes down.
import fs from "node:fs";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "leaselock";

const BEAT = 25;

process.stdout.write(`${process.pid}\n`);
const { tag, name, ttl, log: path } = JSON.parse(process.argv[2]);
const log = fs.openSync(path, "a");
const now = () => process.hrtime.bigint();
const client = new Client();
const ending = new AbortController();
let raising = false;

class OwnError extends Error {}

function note(event, { token }, { until = 0, more = "", at = now() } = {}) {
  fs.writeSync(log, `${`${at} ${tag} ${event} ${name} ${token} ${until} ${more}`.trimEnd()}\n`);
}

/** A write to the resource if the lease is held; else one that comes too late. It may have to throw. */
function writes(lease) {
  const at = now();
  const until = at + BigInt(Math.floor(lease.expiresIn * 1e6));
  try {
    lease.check();
  } catch (lost) {
    note("lost", lease, { more: lost.reason });
    note("late", lease);
    return;
  }
  note("holds", lease, { until, at });
  if (raising) {
    raising = false;
    note("ends", lease);
    throw new OwnError("told to");
  }
}

async function work(lease) {
  for (;;) {
    writes(lease);
    try {
      await sleep(BEAT, undefined, { signal: lease.signal });
    } catch (error) {
      note(lease.held ? "ends" : "stopped", lease);
      throw error;
    }
  }
}

readline
  .createInterface({ input: process.stdin })
  .on("line", () => {
    raising = true;
  })
  .on("close", () => ending.abort());

while (!ending.signal.aborted) {
  await client.lead(name, { ttl, label: tag, signal: ending.signal }, work).catch((error) => {
    if (!(error instanceof OwnError) && error !== ending.signal.reason) throw error;
  });
}
await client.close();
