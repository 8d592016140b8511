// Work that shows on the server when it was done: whether two did it at once is seen there, and not by any lock.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";

export const REDIS_URL = process.env["REDIS_URL"] as string;
export const redis = new Redis(REDIS_URL, { lazyConnect: true });

/** Milliseconds between two beats. */
const BEAT = 10;

/** Works for `milliseconds`, and says so all the time in the list `key`. */
export async function work(key: string, milliseconds: number, signal?: AbortSignal): Promise<void> {
  const run = randomUUID();
  const until = Date.now() + milliseconds;
  const beat = (ended: boolean) => redis.rpush(key, JSON.stringify({ run, pid: process.pid, at: Date.now(), ended }));
  do {
    await beat(false);
    await sleep(BEAT, undefined, signal ? { signal } : {});
  } while (Date.now() < until);
  await beat(true);
}

/** What one piece of work has left. */
export interface Run {
  run: string;
  pid: number;
  first: number;
  last: number;
  ended: boolean;
}

/** The work that was done, in its order; fails where two were at it at once. */
export async function runs(key: string): Promise<Run[]> {
  const all: Run[] = [];
  for (const beat of await redis.lrange(key, 0, -1)) {
    const { run, pid, at, ended } = JSON.parse(beat);
    const current = all.at(-1);
    if (current !== undefined && current.run === run) {
      Object.assign(current, { last: at, ended });
    } else {
      assert.ok(!all.some((earlier) => earlier.run === run), "two were at it at once");
      all.push({ run, pid, first: at, last: at, ended });
    }
  }
  return all;
}
