// Many who want random groups of the same names, alone, shared or with permits: none wait for each other, and none are inside
// together who exclude each other.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { AcquireOptions, Client } from "leaselock";
import { test } from "./support/bench.mjs";
import { fileTest } from "./support/stores.mjs";

const CLIENTS = 8;
const ROUNDS = 40;
const NAMES = ["a", "b", "c", "d", "e"];
const PERMITS = 2;
const KINDS: AcquireOptions[] = [{}, { shared: true }, { permits: PERMITS }];
// A circle would last for ever.
const WAIT = 30_000;

/** Who is inside a name, as those see it who are: how many of each kind. */
class Inside {
  readonly #names = new Map(NAMES.map((name) => [name, KINDS.map(() => 0) as [number, number, number]]));
  most = 0;

  change(names: string[], kind: number, by: 1 | -1): void {
    for (const name of names) {
      const counts = this.#names.get(name) as [number, number, number];
      counts[kind] = (counts[kind] ?? 0) + by;
      const [alone, shared, permitted] = counts;
      const all = alone + shared + permitted;
      assert.ok(alone === 0 || all === 1, `${name}: ${counts}`);
      assert.ok(permitted <= PERMITS, `${name}: ${counts}`);
      this.most = Math.max(this.most, all);
    }
  }
}

/** Numbers from 0 to `below`, the same for each seed: the upper bits of a generator by Knuth's constants. */
function chance(seed: number): (below: number) => number {
  let state = BigInt(seed * 7919 + 17);
  return (below) => {
    state = BigInt.asUintN(64, state * 6_364_136_223_846_793_005n + 1_442_695_040_888_963_407n);
    return Number(state >> 33n) % below;
  };
}

async function groupsOfMany(store: { client(): Client }): Promise<void> {
  const inside = new Inside();
  const work = async (client: Client, seed: number) => {
    const below = chance(seed);
    for (let round = 0; round < ROUNDS; round += 1) {
      const names = NAMES.filter(() => below(2) === 1);
      if (below(2) === 1) {
        names.reverse();
      }
      const kind = below(KINDS.length);
      if (names.length === 0) {
        continue;
      }
      await client.usingAll(names, { ...KINDS[kind], wait: WAIT }, async () => {
        inside.change(names, kind, 1);
        await sleep(below(3));
        inside.change(names, kind, -1);
      });
    }
  };
  const clients = Array.from({ length: CLIENTS }, () => store.client());
  await Promise.all(clients.map(work));
  assert.ok(inside.most > 1, "some were inside together");
  for (const client of clients) {
    const { held, waiting, lost } = client.stats();
    assert.deepEqual({ held, waiting, lost }, { held: 0, waiting: 0, lost: 0 });
  }
  for (const name of NAMES) {
    assert.equal(await clients[0]?.inspect(name), null);
  }
}

test("clients that want random groups never wait in a circle", groupsOfMany);
fileTest("clients that want random groups never wait in a circle", groupsOfMany);
