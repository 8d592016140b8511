// A listener that counts what arrives, and a relay that can be cut, made to hold its tongue, or to forget.

import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** Counts connections and bytes, and answers nothing. */
export class CountingListener {
  connections = 0;
  bytes = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(private readonly host: string) {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on("data", (chunk) => {
        this.bytes += chunk.length;
      });
      socket.on("error", () => {});
    });
  }

  static async start(host = "127.0.0.1"): Promise<CountingListener> {
    const listener = new CountingListener(host);
    listener.#server.listen(0, host);
    await once(listener.#server, "listening");
    return listener;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get url(): string {
    return `redis://${this.host}:${this.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** One connection through a relay. */
export class Relayed {
  /** How many bytes the client has sent. */
  sent = 0;
  /** It carries nothing any more, not even an end. */
  forgotten = false;
  /** Whose chunks are held back until `letGo`. */
  holding: "client" | "server" | "both" | undefined;
  #held: (() => void)[] = [];

  constructor(
    readonly client: Socket,
    readonly server: Socket,
  ) {}

  /** How many chunks are held back. */
  get held(): number {
    return this.#held.length;
  }

  pass(from: "client" | "server", chunk: Buffer): void {
    const pass = () => {
      if (!this.forgotten) {
        (from === "client" ? this.server : this.client).write(chunk);
      }
    };
    if (this.holding === from || this.holding === "both") {
      this.#held.push(pass);
    } else {
      pass();
    }
  }

  letGo(): void {
    this.holding = undefined;
    for (const pass of this.#held.splice(0)) {
      pass();
    }
  }

  cut(): void {
    this.client.destroy();
    this.server.destroy();
  }
}

/** Stands between a client and a server. */
export class Relay {
  /** Chunks of the server's that are thrown away instead of passed on, as long as it says so. */
  dropReplies: (reply: Buffer) => boolean = () => false;
  /** The server's chunks are passed on so many milliseconds late. */
  delay = 0;
  /** Connections are refused. */
  refuse = false;
  /** Whose chunks are held back on the connections that come. */
  #holding: Relayed["holding"];
  /** How many connections it has taken in all. */
  accepted = 0;
  readonly #open = new Set<Relayed>();
  readonly #server: Server;

  /** `target` is where new connections go. */
  private constructor(public target: URL) {
    this.#server = createServer((client) => {
      if (this.refuse) {
        client.destroy();
        return;
      }
      this.accepted += 1;
      const relayed = new Relayed(client, createConnection(Number(this.target.port), this.target.hostname));
      relayed.holding = this.#holding;
      this.#open.add(relayed);
      client.on("data", (chunk: Buffer) => {
        relayed.sent += chunk.length;
        relayed.pass("client", chunk);
      });
      relayed.server.on("data", (chunk: Buffer) => {
        if (this.dropReplies(chunk)) {
          return;
        }
        if (this.delay > 0) {
          setTimeout(() => relayed.pass("server", chunk), this.delay);
        } else {
          relayed.pass("server", chunk);
        }
      });
      for (const socket of [client, relayed.server]) {
        socket.setNoDelay(true);
        socket.on("error", () => {});
        socket.on("close", () => {
          if (!relayed.forgotten) {
            this.#open.delete(relayed);
            relayed.cut();
          }
        });
      }
    });
  }

  static async start(url: string): Promise<Relay> {
    const relay = new Relay(new URL(url));
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** The open connections, in the order in which they came. */
  get connections(): Relayed[] {
    return [...this.#open];
  }

  /** Holds back what this side sends on every connection, those to come too, until `letGo`. */
  hold(from: Relayed["holding"]): void {
    this.#holding = from;
    for (const relayed of this.#open) {
      relayed.holding = from;
    }
  }

  letGo(): void {
    this.#holding = undefined;
    for (const relayed of this.#open) {
      relayed.letGo();
    }
  }

  /** Breaks every connection; new ones come through unless `refuse` is set. Forgotten ones hear nothing of it. */
  cut(): void {
    for (const relayed of this.#open) {
      if (!relayed.forgotten) {
        relayed.cut();
      }
    }
  }

  /** Forgets every connection, as a NAT or a balancer does: they stay open and carry nothing. New ones work. */
  forget(): void {
    for (const relayed of this.#open) {
      relayed.forgotten = true;
    }
  }

  async stop(): Promise<void> {
    for (const relayed of this.#open) {
      relayed.cut();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}
