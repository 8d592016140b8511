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

/**
 * This project's addon, built in release mode. `shared`, `permits` and the like are the options of each acquire; `writers`: every
 * so manyth is exclusive all the same; `several`: so many names at once; `prefix` stands before names.
 */
async function leaselock(url, { several, writers, prefix = "", ...given }) {
  const { Client } = createRequire(import.meta.url)("../target/node/index.js");
  const client = new Client(url);
  const options = { ttl: TTL, ...given };
  let acquired = 0;
  const acquire = (name) => {
    acquired += 1;
    return client.acquire(prefix + name, writers && acquired % writers === 0 ? { ttl: TTL } : options);
  };
  return {
    client,
    acquire: several ? (name) => client.acquireAll(those(several, name), options) : acquire,
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
  return leaselock(url, {});
}

/** A semaphore that asks every 10 ms for as long as it takes. */
async function redisSemaphore(url, { permits }) {
  const { Semaphore } = await import("redis-semaphore");
  const redis = await ioredis(url);
  return {
    acquire: async (name) => {
      const semaphore = new Semaphore(redis, name, permits, { lockTimeout: TTL, acquireTimeout: TTL * 100 });
      await semaphore.acquire();
      return semaphore;
    },
    release: (held) => held.release(),
  };
}

/** So many names beside this one. */
const those = (several, name) => Array.from({ length: several }, (_, at) => `${name}-${at}`);

async function redlock5(url, { several }) {
  const { default: Redlock } = await import("redlock");
  const redlock = new Redlock([await ioredis(url)], { retryCount: -1 });
  return {
    acquire: (name) => redlock.acquire(several ? those(several, name) : [name], TTL),
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
  "redis-semaphore": redisSemaphore,
  bare,
  "bare-handover": (url) => bareHandOver(url, { ttl: TTL }),
};
