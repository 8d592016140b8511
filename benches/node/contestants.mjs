// What is measured on Node: leaselock, its peers with their default retry delays, and the bare socket.
import { createRequire } from "node:module";
import net from "node:net";
import { bareHandOver } from "./bare_handover.mjs";

const TTL = 30_000;
/** Peers give up after a few tries; here they wait for as long as it takes. */
const FOR_EVER = 1_000_000;

/** A client that is connected; `redis+cluster://HOST:PORT,…` is one of a cluster. */
async function ioredis(url) {
  const { Cluster, Redis } = await import("ioredis");
  const [scheme, addresses] = url.split("://");
  const client =
    scheme === "redis+cluster"
      ? new Cluster(
          addresses.split(",").map((address) => `redis://${address}`),
          { lazyConnect: true },
        )
      : new Redis(url, { lazyConnect: true });
  await client.connect();
  return client;
}

/** This project's addon, built in release mode. */
async function leaselock(url) {
  const { Client } = createRequire(import.meta.url)("../target/node/index.js");
  const client = new Client(url);
  return {
    client,
    acquire: (name) => client.acquire(name, { ttl: TTL }),
    release: async (held) => {
      if (!(await held.release())) {
        throw new Error("the lease was lost");
      }
    },
  };
}

/** The same, of which somebody hears everything. */
async function observed(url) {
  const { observe } = createRequire(import.meta.url)("../target/node/index.js");
  observe(() => {});
  return leaselock(url);
}

async function redlock5(url) {
  const { default: Redlock } = await import("redlock");
  const redlock = new Redlock([await ioredis(url)], { retryCount: -1 });
  return {
    acquire: (name) => redlock.acquire([name], TTL),
    release: (held) => held.release(),
  };
}

async function redlock4(url) {
  const { default: Redlock } = await import("redlock4");
  const redlock = new Redlock([await ioredis(url)], { retryCount: -1 });
  return {
    acquire: (name) => redlock.lock(name, TTL),
    release: (held) => held.unlock(),
  };
}

async function sesamecare(url) {
  const { Redlock } = await import("@sesamecare-oss/redlock");
  const redlock = new Redlock([await ioredis(url)], { retryCount: -1 });
  return {
    acquire: (name) => redlock.acquire([name], TTL),
    release: (held) => held.release(),
  };
}

async function universal(url) {
  const { createLock, IoredisAdapter } = await import("redlock-universal");
  const adapter = new IoredisAdapter(await ioredis(url));
  const locks = new Map();
  const lockOf = (name) => {
    let lock = locks.get(name);
    if (!lock) {
      lock = createLock({ adapter, key: name, ttl: TTL, retryAttempts: FOR_EVER });
      locks.set(name, lock);
    }
    return lock;
  };
  return {
    acquire: (name) => lockOf(name).acquire(),
    release: (held) => lockOf(held.key).release(held),
  };
}

/** A directory whose time of change its holder keeps fresh; it polls with the default delays. */
async function properLockfile(directory, { ttl_ms: ttl = TTL }) {
  const { default: lockfile } = await import("proper-lockfile");
  // The file itself need not exist.
  const options = { stale: ttl, update: ttl / 3, realpath: false, retries: { forever: true } };
  return {
    acquire: (name) => lockfile.lock(`${directory}/${name}`, options),
    release: (held) => held(),
  };
}

/** A plain socket that sends exactly the bytes that leaselock sends, and reads as many as are answered. */
async function bare(url, { pair }) {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
  let left = 0;
  let done;
  socket.on("data", (data) => {
    left -= data.length;
    if (left <= 0) {
      done();
    }
  });
  await new Promise((resolve) => socket.once("connect", resolve));
  const exchange = ({ send, reply }) =>
    new Promise((resolve) => {
      left = reply;
      done = resolve;
      socket.write(send);
    });
  return {
    acquire: () => exchange(pair[0]),
    release: () => exchange(pair[1]),
  };
}

export const contestants = {
  leaselock,
  "leaselock, observed": observed,
  "redlock 5": redlock5,
  "redlock 4": redlock4,
  sesamecare,
  "redlock-universal": universal,
  "proper-lockfile": properLockfile,
  bare,
  "bare-handover": (url) => bareHandOver(url, { ttl: TTL }),
};
