/** JSON texts over a WebSocket, one message per text frame: in browsers, and in Node with a constructor given. */
import { HoldfastError } from "./errors.js";
import type { Dialled, Endpoint, Receiver, Transport } from "./transport.js";

/** A handler of an event whose class differs between implementations; `any` so that each of them fits. */
type On = ((event: any) => void) | null;

/** What is used of a WebSocket: the browser's, Node's, or that of the package `ws`. */
export interface WebSocketLike {
  onopen: On;
  onmessage: On;
  onclose: On;
  onerror: On;
  send(data: string): void;
  close(): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface WebSocketOptions {
  /** `ws://127.0.0.1:PORT/`. Unencrypted only to this machine, because the token goes with it. */
  url: string;
  /** Said in the upgrade, as a subprotocol: a page cannot set headers. */
  token: string;
  /** If not the global one. */
  WebSocket?: WebSocketConstructor;
}

const SUBPROTOCOL = "holdfast.v1";
const TOKEN_PREFIX = "holdfast.token.";

/** A dead connection does not answer a closing frame, and a WebSocket waits for that for up to minutes. */
const GOODBYE_MS_MAX = 1_000;

/** Give a daemon behind a WebSocket. */
export function webSocketEndpoint(options: WebSocketOptions): Endpoint {
  checkUrl(options.url);
  return { dial: (signal) => dial(options, signal) };
}

function checkUrl(text: string): void {
  const url = new URL(text);
  const local = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  if (url.protocol === "wss:" || (url.protocol === "ws:" && local)) return;
  throw new HoldfastError("unreachable", `Refusing ${text}: the token would be sent to it in the clear.`);
}

function dial(options: WebSocketOptions, signal: AbortSignal): Promise<Dialled> {
  const { WebSocket: Socket = globalThis.WebSocket as WebSocketConstructor | undefined, url, token } = options;
  if (Socket === undefined) throw new HoldfastError("unreachable", "There is no WebSocket here: give one.");
  return new Promise((resolve, reject) => {
    let said = "";
    const socket = new Socket(url, [SUBPROTOCOL, TOKEN_PREFIX + token]);
    const abort = () => socket.close();
    const settle = () => signal.removeEventListener("abort", abort);
    socket.onerror = (event: { message?: string }) => (said = event.message ?? ""); // `onclose` follows.
    socket.onopen = () => {
      settle();
      resolve({ transport: new WebSocketTransport(socket) });
    };
    socket.onclose = () => {
      settle();
      const why = said || "no daemon is there, or it does not accept the token or the page's origin";
      reject(new HoldfastError("unreachable", `Cannot connect to ${url}: ${why}.`));
    };
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

class WebSocketTransport implements Transport {
  readonly #socket: WebSocketLike;
  #receiver: Receiver | undefined; // Set from `start` until the receiver was told of the end.
  #closed: string | undefined; // Why it closed before it was started.
  #closing: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: WebSocketLike) {
    this.#socket = socket;
    socket.onclose = () => (this.#closed = "The connection was lost.");
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#socket.onmessage = ({ data }: { data: unknown }) => {
      if (typeof data === "string") this.#receiver?.received(data);
      else this.close();
    };
    this.#socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
      this.#end(reason || `The connection was lost (${code}).`);
    };
    if (this.#closed !== undefined) this.#end(this.#closed);
  }

  send(text: string): void {
    if (this.#closing === undefined && this.#receiver) this.#socket.send(text);
  }

  close(): void {
    if (this.#closing !== undefined || this.#receiver === undefined) return;
    this.#socket.close();
    this.#closing = setTimeout(() => this.#end("The other side does not say goodbye."), GOODBYE_MS_MAX);
  }

  #end(reason: string): void {
    clearTimeout(this.#closing);
    const receiver = this.#receiver;
    this.#receiver = undefined;
    receiver?.closed(reason);
  }
}
