/** A daemon that says exactly what a test wants, over transports in memory. */
import type { Dialled, Endpoint, Receiver, Transport } from "../src/index.js";

export interface Sent {
  id?: number;
  method: string;
  params: Record<string, unknown>;
}

/** Answers one message; called in the turn in which it was sent. */
export type Serve = (message: Sent, connection: FakeConnection) => void;

const WELCOME = {
  version: 1,
  server: { name: "fake", version: "0", instanceId: "i", pid: 1, startedAt: 0 },
  capabilities: { deliveries: [], transports: [] },
  limits: { messageBytesMax: 1_000_000, requestsInFlightMax: 64 },
  role: "controller",
};

export class FakeConnection implements Transport {
  readonly sent: Sent[] = [];
  readonly #daemon: FakeDaemon;
  #receiver: Receiver | undefined;

  constructor(daemon: FakeDaemon) {
    this.#daemon = daemon;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  send(text: string): void {
    const message = JSON.parse(text) as Sent;
    this.sent.push(message);
    if (message.method === "initialize") this.#daemon.greet(message, this);
    else this.#daemon.serve(message, this);
  }

  close(): void {
    this.drop("closed by the client");
  }

  /** End the connection. */
  drop(reason = "dropped"): void {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    queueMicrotask(() => receiver?.closed(reason));
  }

  result(message: Sent, result: unknown): void {
    this.say({ id: message.id, result });
  }

  error(message: Sent, code: number, data: Record<string, unknown>): void {
    this.say({ id: message.id, error: { code, message: "refused", data } });
  }

  notify(method: string, params: unknown): void {
    this.say({ method, params });
  }

  say(message: Record<string, unknown>): void {
    this.raw(JSON.stringify({ jsonrpc: "2.0", ...message }));
  }

  raw(text: string): void {
    this.#receiver?.received(text);
  }

  /** The params of the calls of a method, in order. */
  params(method: string): Record<string, unknown>[] {
    return this.sent.filter((message) => message.method === method).map((message) => message.params);
  }
}

export class FakeDaemon implements Endpoint {
  readonly connections: FakeConnection[] = [];
  /** Answers `initialize`. */
  greet: Serve = (message, connection) => connection.result(message, WELCOME);
  /** Answers everything else. */
  serve: Serve;

  constructor(serve: Serve) {
    this.serve = serve;
  }

  dial(): Promise<Dialled> {
    const connection = new FakeConnection(this);
    this.connections.push(connection);
    return Promise.resolve({ transport: connection });
  }

  /** The params of a method's calls, over all connections. */
  params(method: string): Record<string, unknown>[] {
    return this.connections.flatMap((connection) => connection.params(method));
  }
}
