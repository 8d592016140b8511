// Fails when native.d.ts is not what the addon's source says: `npm run types:check`.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";

const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const output = mkdtempSync(join(tmpdir(), "leaselock-types-"));
try {
  const build = ["run", "--silent", "build:addon", "--", "--output-dir", output, "--dts", "native.d.ts"];
  execFileSync("npm", build, { cwd: resolve(here, ".."), stdio: ["ignore", "ignore", "inherit"] });
  const committed = join(here, "native.d.ts");
  if (readFileSync(join(output, "native.d.ts"), "utf8") !== readFileSync(committed, "utf8")) {
    console.error(`${relative(process.cwd(), committed)} is out of date: run \`npm run build:debug\` and commit it`);
    process.exitCode = 1;
  }
} finally {
  rmSync(output, { recursive: true, force: true });
}
