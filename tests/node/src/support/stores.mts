// The stores that need no server: a file in a folder of its own, and the memory of this process.

import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder with one store in it, until `remove`. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "leaselock-node-"));
  readonly file = join(this.path, "locks.db");
  readonly url = `file:${this.file}`;

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The URL of a store in memory that no other test uses. */
export function freshMemory(): string {
  return `memory:${randomBytes(6).toString("hex")}`;
}
