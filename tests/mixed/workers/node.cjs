// The worker of the mixed-language tests in Node: each request in a promise of its own.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const { Client, LeaselockError } = require("../../..");

const client = new Client();
const leases = new Map();

async function run(request) {
  const lease = leases.get(request.lease);
  switch (request.op) {
    case "hello":
      return { pid: process.pid };
    case "acquire": {
      const { ttl, wait } = request;
      const taken = await client.acquire(request.name, { ttl, label: "node", ...(wait == null ? {} : { wait }) });
      leases.set(request.as, taken);
      return { owner: taken.owner, token: taken.token };
    }
    case "release":
      return await lease.release();
    case "release_owner":
      return await client.release(request.name, request.owner);
    case "look":
      return { state: lease.state, held: lease.held, expires_in: lease.expiresIn };
    case "looks": {
      const seen = [];
      while (!seen.length || seen.at(-1)[0] < request.until) {
        seen.push([Number(process.hrtime.bigint()), lease.held]);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return seen;
    }
    case "check":
      lease.check();
      return null;
    case "wait_lost":
      return await waitLost(lease.signal, request.timeout);
    case "block": {
      const end = Date.now() + request.ms;
      while (Date.now() < end);
      return null;
    }
    case "count":
      return await count(request);
    case "close":
      await client.close();
      return null;
    default:
      throw new Error(request.op);
  }
}

async function count({ name, file: path, ttl, up_to }) {
  const file = fs.openSync(path, "r+");
  const tokens = fs.openSync(`${path}.tokens`, "a");
  const add = async ({ token }) => {
    const number = Number(fs.readFileSync(path, "utf8"));
    if (number >= up_to) return false;
    await new Promise(setImmediate);
    fs.writeSync(file, String(number + 1), 0);
    fs.writeSync(tokens, `${token}\n`);
    return true;
  };
  let added = 0;
  while (await client.using(name, { ttl }, add)) added += 1;
  fs.closeSync(file);
  fs.closeSync(tokens);
  return added;
}

function waitLost(signal, timeout) {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(signal.reason.reason);
      return;
    }
    const timer = setTimeout(() => resolve(null), timeout);
    const told = () => {
      clearTimeout(timer);
      resolve(signal.reason.reason);
    };
    signal.addEventListener("abort", told, { once: true });
  });
}

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const request = JSON.parse(line);
  const reply = { id: request.id };
  try {
    reply.result = (await run(request)) ?? null;
  } catch (error) {
    const code = error instanceof LeaselockError ? error.code : "";
    reply.error = { name: error.name, code, reason: error.reason ?? null, message: error.message };
  }
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}).on("close", () => process.exit());
