// Runs a script in a Node process of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** How a process ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** From its start to its end, in milliseconds. */
  took: number;
}

/** Where `import "leaselock"` finds this package. */
export const here = dirname(fileURLToPath(import.meta.url));

/** The first lines of a script: `url`, `appId` and `name` are its arguments. */
export const PRELUDE = `
  import { Client } from "leaselock";
  import { setTimeout as sleep } from "node:timers/promises";
  const [url, appId, name] = process.argv.slice(1);
  const client = new Client(url, { appId });
`;

/** A process under way. */
export class Script {
  stdout = "";
  stderr = "";
  readonly #started = performance.now();
  readonly #process;
  readonly #exit;

  /** Runs an ES module's source; its `process.argv[1]` and on are `args`. */
  constructor(source: string, args: string[], flags: string[] = []) {
    this.#process = spawn(process.execPath, [...flags, "--input-type=module", "--eval", source, "--", ...args], {
      cwd: here,
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
    });
    this.#process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.#exit = once(this.#process, "close");
  }

  /** Resolves once `text` was printed. */
  async printed(text: string): Promise<void> {
    while (!this.stdout.includes(text)) {
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
        throw new Error(`it ended before it printed ${text}: ${this.stdout}${this.stderr}`);
      }
      await Promise.race([once(this.#process.stdout, "data"), this.#exit]);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Resolves when it has ended; ends it by force after `within` milliseconds, which shows in `signal`. */
  async ended(within = 30_000): Promise<Ended> {
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), within);
    const [code, signal] = (await this.#exit) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    return { code, signal, stdout: this.stdout, stderr: this.stderr, took: performance.now() - this.#started };
  }
}
