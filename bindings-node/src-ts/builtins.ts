// Node's own modules, asked of the process where it can say: a bundle that is an ES module has no `require` for them.

import type { AsyncResource as Resource, AsyncLocalStorage as Storage } from "node:async_hooks";
import type { channel as Channel } from "node:diagnostics_channel";
import type { setMaxListeners as SetMaxListeners } from "node:events";

const diagnostics: { channel: typeof Channel } =
  process.getBuiltinModule?.("node:diagnostics_channel") ?? require("node:diagnostics_channel");
const events: unknown = process.getBuiltinModule?.("node:events") ?? require("node:events");

const hooks: { AsyncLocalStorage: typeof Storage; AsyncResource: typeof Resource } =
  process.getBuiltinModule?.("node:async_hooks") ?? require("node:async_hooks");

export const { channel } = diagnostics;
/** An `AsyncResource`'s `runInAsyncScope` runs a function in the async context in which it was made. */
export const { AsyncLocalStorage, AsyncResource } = hooks;
export const { setMaxListeners } = events as { setMaxListeners: typeof SetMaxListeners };
