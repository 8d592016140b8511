// Node's own modules, asked of the process where it can say: a bundle that is an ES module has no `require` for them.

import type { channel as Channel } from "node:diagnostics_channel";
import type { setMaxListeners as SetMaxListeners } from "node:events";

const diagnostics: { channel: typeof Channel } =
  process.getBuiltinModule?.("node:diagnostics_channel") ?? require("node:diagnostics_channel");
const events: unknown = process.getBuiltinModule?.("node:events") ?? require("node:events");

export const { channel } = diagnostics;
export const { setMaxListeners } = events as { setMaxListeners: typeof SetMaxListeners };
