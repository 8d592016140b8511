// The scenario file on Sentinels and clusters.

import { after } from "node:test";
import { play } from "./scenario/play.mjs";
import { TopologyPlain, topologies } from "./support/topologies.mjs";

/** Where all scenarios run from here; elsewhere those that are for everywhere. */
const WHOLE = "cluster-valkey";

for (const topology of topologies) {
  // All scenarios share it: some leave little time for connecting to more than one node.
  const shared = new TopologyPlain(topology);
  after(() => shared.disconnect());
  const plain = () => ({ call: shared.call.bind(shared), disconnect: () => {} });
  const place = { ...topology, kind: "redis", plain };
  play(place, ({ everywhere }) => topology.name === WHOLE || everywhere === true);
}
