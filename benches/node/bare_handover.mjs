// The limit of a hand-over in Node: plain sockets that send what leaselock sends, and nothing else is done with it. One
// socket for commands and one for the inbox; no renewal, no time-out, no state.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import net from "node:net";

const SCRIPTS = new URL("../../core/src/store/redis/scripts/", import.meta.url);

/** A script, with what it includes. */
function script(name) {
  const text = readFileSync(new URL(name, SCRIPTS), "utf8");
  return text.replace(/^--@include (\S+)$/gm, (_, included) => readFileSync(new URL(included, SCRIPTS), "utf8"));
}

function packed(...words) {
  const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
  return `*${parts.length}\r\n${parts.join("")}`;
}

/** A socket whose next data can be waited for. */
async function connect(url) {
  const { hostname, port } = new URL(url);
  const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
  let came;
  socket.on("data", (data) => came?.(data.toString("latin1")));
  await new Promise((resolve) => socket.once("connect", resolve));
  const next = () =>
    new Promise((resolve) => {
      came = resolve;
    });
  const ask = (...words) => {
    socket.write(packed(...words));
    return next();
  };
  return { next, ask };
}

export async function bareHandOver(url, { ttl }) {
  const id = randomUUID().replaceAll("-", "");
  const [commands, inbox] = [await connect(url), await connect(url)];
  await inbox.ask("SUBSCRIBE", `lock||inbox||${id}`);
  const load = async (name) => (await commands.ask("SCRIPT", "LOAD", script(name))).split("\r\n")[1];
  const [wait, release] = [await load("wait.lua"), await load("release.lua")];
  return {
    acquire: async (name) => {
      const owner = randomUUID();
      const keys = [`lock||${name}`, `{lock||${name}}||||queue`, "lock||||fence"];
      const granted = inbox.next();
      const reply = await commands.ask("EVALSHA", wait, 3, ...keys, owner, ttl, id, "", 1);
      if (!reply.startsWith("*2\r\n:1")) {
        await granted;
      }
      return { keys, owner };
    },
    release: ({ keys, owner }) => commands.ask("EVALSHA", release, 3, ...keys, owner, id),
  };
}
