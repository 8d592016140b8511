// Opens a client: its arguments, checked, and given to the addon.

import type { NativeAccess, NativeClient } from "../native.js";
import { boolean, number, optional, options, string, strings } from "./arguments.js";
import { dropFunction, keepFunction } from "./credentials.js";
import { errorOf } from "./errors.js";
import { reactor } from "./reactor.js";
import type { ClientOptions } from "./types.js";

const CLIENT_OPTIONS = [
  "appId",
  "commandTimeout",
  "tls",
  "keyPrefix",
  "addressMap",
  "replicas",
  "credentials",
] as const;
const TLS_OPTIONS = ["ca", "cert", "key", "insecureSkipVerify"] as const;

/** Opens what the arguments of a client say. */
export function open(url: string | undefined, clientOptions: ClientOptions | undefined): NativeClient {
  const given = options("Client", clientOptions, CLIENT_OPTIONS);
  const said = access(given);
  const opened = reactor().open(
    // Workers may have an environment of their own, which only `process.env` knows.
    optional(string, "url", url) ?? (process.env["LEASELOCK_URL"] || undefined),
    optional(string, "appId", given.appId) ?? (process.env["LEASELOCK_APP_ID"] || undefined),
    optional(number, "commandTimeout", given.commandTimeout),
    said,
  );
  if ("code" in opened) {
    if (said?.credentials !== undefined) {
      dropFunction(said.credentials);
    }
    throw errorOf(opened);
  }
  return opened;
}

/** What is said of the access to a server; nothing, if nothing is. */
function access(given: ClientOptions): NativeAccess | undefined {
  const { tls, keyPrefix, addressMap, replicas, credentials } = given;
  if ([tls, keyPrefix, addressMap, replicas, credentials].every((said) => said === undefined)) {
    return undefined;
  }
  const { ca, cert, key, insecureSkipVerify } = options("tls", tls, TLS_OPTIONS);
  return {
    tlsCa: optional(string, "tls.ca", ca),
    tlsCert: optional(string, "tls.cert", cert),
    tlsKey: optional(string, "tls.key", key),
    tlsInsecureSkipVerify: optional(boolean, "tls.insecureSkipVerify", insecureSkipVerify),
    keyPrefix: optional(string, "keyPrefix", keyPrefix),
    addressMap: optional(strings, "addressMap", addressMap),
    replicas: optional(number, "replicas", replicas),
    // Last: it is kept from here on.
    credentials: credentials === undefined ? undefined : keepFunction(credentials),
  };
}
