// The scenario file on Sentinels and clusters.

import { play } from "./scenario/play.mjs";
import { TopologyPlain, topologies } from "./support/topologies.mjs";

/** Where all scenarios run from here; elsewhere those that are for everywhere. */
const WHOLE = "cluster-valkey";

for (const topology of topologies) {
  const place = { ...topology, kind: "redis", plain: () => new TopologyPlain(topology) };
  play(place, ({ everywhere }) => topology.name === WHOLE || everywhere === true);
}
