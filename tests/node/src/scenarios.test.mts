// The scenario file, on every server and on the stores that need none.

import { after } from "node:test";
import { play } from "./scenario/play.mjs";
import { plainRedis, servers } from "./support/servers.mjs";
import { Folder, freshMemory } from "./support/stores.mjs";

const folder = new Folder();
after(() => folder.remove());

for (const { name, url } of servers) {
  play({ name, kind: "redis", url, plain: () => plainRedis(url) });
}
play({ name: "file:", kind: "file", url: folder.url });
play({ name: "memory:", kind: "memory", url: freshMemory() });
