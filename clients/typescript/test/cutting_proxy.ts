/** A unix socket in front of a daemon's, whose connections are cut wherever they happen to be. */
import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** When to cut: after between `bytesMin` and `bytesMax` from the daemon, so most often inside a message. */
export interface Cuts {
  /** Then connections are left alone. */
  count: number;
  /** Enough for the handshake, so that each connection gets somewhere. */
  bytesMin: number;
  bytesMax: number;
}

export class CuttingProxy {
  readonly path: string;
  /** How many connections were cut. */
  cuts = 0;

  readonly #target: string;
  readonly #plan: Cuts;
  readonly #random = randomFrom(20);
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  private constructor(path: string, target: string, plan: Cuts) {
    this.path = path;
    this.#target = target;
    this.#plan = plan;
  }

  /** Listen until the test has ended. */
  static async start(context: TestContext, path: string, target: string, plan: Cuts): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(path, target, plan);
    const server = createServer((client) => proxy.#serve(client));
    proxy.#server = server;
    server.listen(path);
    await once(server, "listening");
    context.after(() => proxy.#stop());
    return proxy;
  }

  #serve(client: Socket): void {
    const daemon = createConnection(this.#target);
    const cut = () => {
      client.destroy();
      daemon.destroy();
    };
    for (const socket of [client, daemon]) {
      this.#sockets.add(socket);
      socket.on("error", cut);
      socket.on("close", cut);
    }
    client.pipe(daemon);
    const { count, bytesMin, bytesMax } = this.#plan;
    let left = Math.floor(bytesMin + this.#random() * (bytesMax - bytesMin));
    daemon.on("data", (data) => {
      const doomed = this.cuts < count && data.length > left;
      client.write(doomed ? data.subarray(0, left) : data);
      left -= data.length;
      if (!doomed) return;
      this.cuts += 1;
      daemon.destroy();
      client.destroySoon(); // What was let through arrives.
    });
  }

  #stop(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The same numbers in each run, 0 to 1 (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
