// A listener that counts what arrives, and a relay that can be cut or made to hold its tongue.

import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** Counts connections and bytes, and answers nothing. */
export class CountingListener {
  connections = 0;
  bytes = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on("data", (chunk) => {
        this.bytes += chunk.length;
      });
      socket.on("error", () => {});
    });
  }

  static async start(): Promise<CountingListener> {
    const listener = new CountingListener();
    listener.#server.listen(0, "127.0.0.1");
    await once(listener.#server, "listening");
    return listener;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
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
  readonly #pairs = new Set<[Socket, Socket]>();
  readonly #server: Server;

  private constructor(target: URL) {
    this.#server = createServer((client) => {
      if (this.refuse) {
        client.destroy();
        return;
      }
      const server = createConnection(Number(target.port), target.hostname);
      const pair: [Socket, Socket] = [client, server];
      this.#pairs.add(pair);
      client.on("data", (chunk) => server.write(chunk));
      server.on("data", (chunk: Buffer) => {
        if (this.dropReplies(chunk)) {
          return;
        }
        if (this.delay > 0) {
          setTimeout(() => client.write(chunk), this.delay);
        } else {
          client.write(chunk);
        }
      });
      for (const socket of pair) {
        socket.setNoDelay(true);
        socket.on("error", () => {});
        socket.on("close", () => {
          this.#pairs.delete(pair);
          client.destroy();
          server.destroy();
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

  /** Breaks every connection; new ones come through unless `refuse` is set. */
  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
