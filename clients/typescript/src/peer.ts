/**
 * One connection's JSON-RPC: ids, unanswered requests, notifications. Knows no methods.
 *
 * Outcomes are callbacks, not promises: a subscription's answer must have taken effect before the batch that
 * came in the same packet is looked at.
 */
import { failure, type Outcome, RpcError } from "./errors.js";
import { unreadable } from "./json.js";
import type { ErrorObject } from "./protocol.js";
import type { Receiver, Transport } from "./transport.js";

type Settle = (outcome: Outcome) => void;

/** `chars` is the length of the message: what it costs to keep. */
export type Notified = (method: string, params: unknown, chars: number) => void;

interface Message {
  id?: number | string | null;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: ErrorObject;
}

/** Until `initialize` says what the daemon takes. */
const HANDSHAKE_BYTES_MAX = 16 * 1024;

const utf8 = new TextEncoder();

export class Peer implements Receiver {
  /** Resolves with the reason when the connection is gone and every request was settled. */
  readonly ended: Promise<string>;
  /** The largest message the daemon takes. */
  messageBytesMax = HANDSHAKE_BYTES_MAX;
  /** Set by every message; whoever watches for silence clears it. */
  heard = true;

  readonly #transport: Transport;
  readonly #notified: Notified;
  readonly #pending = new Map<number, Settle>(); // Requests the daemon has not answered.
  #nextId = 1;
  #closedBecause: string | undefined; // Set when the transport is gone.
  #closeReason: string | undefined; // Why this side ended it, if it did.
  #resolveEnded!: (reason: string) => void;

  constructor(transport: Transport, notified: Notified) {
    this.#transport = transport;
    this.#notified = notified;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    transport.start(this);
  }

  /** Whether the transport is gone. */
  get isClosed(): boolean {
    return this.#closedBecause !== undefined;
  }

  /**
   * Send a request, and give its id; `settle` is called once, perhaps before this returns.
   *
   * A connection that is lost settles it with `connection_lost`. `params` is JSON.
   */
  request(method: string, params: string, settle: Settle): number {
    const id = this.#nextId++;
    let reason: string | undefined;
    const text = `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)},"params":${params}}`;
    if (this.#closedBecause !== undefined) {
      settle(failure("connection_lost", this.#closedBecause));
    } else if (bytesExceed(text, this.messageBytesMax)) {
      settle(failure("too_large", `A message is at most ${this.messageBytesMax} bytes.`));
    } else if ((reason = unreadable(params)) !== undefined) {
      settle(failure("too_large", reason));
    } else {
      this.#pending.set(id, settle);
      this.#transport.send(text);
    }
    return id;
  }

  /** Ask the daemon to give up a request; it is still answered. */
  cancel(id: number): void {
    if (!this.#pending.has(id)) return;
    this.#transport.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":${id}}}`);
  }

  /** End the connection. */
  close(reason: string): void {
    this.#closeReason ??= reason;
    this.#transport.close();
  }

  received(text: string): void {
    this.heard = true;
    const message = parse(text);
    if (message === undefined) this.close("What answers does not speak JSON-RPC.");
    else if (message.method !== undefined) this.#receiveCall(message, message.method, text.length);
    else if (typeof message.id === "number") this.#receiveAnswer(message, message.id);
    else if (message.id === null && message.error) {
      // The daemon could not read an id of ours, so it cannot be known which request it refuses.
      this.#settleAll({ ok: false, error: new RpcError(message.error) });
    }
  }

  closed(reason: string): void {
    this.#closedBecause = this.#closeReason ?? reason;
    this.#settleAll(failure("connection_lost", this.#closedBecause));
    this.#resolveEnded(this.#closedBecause);
  }

  #receiveCall(message: Message, method: string, chars: number): void {
    // The daemon only notifies; a request would be from a protocol this is not.
    if (message.id === undefined) this.#notified(method, message.params, chars);
  }

  #receiveAnswer(message: Message, id: number): void {
    const settle = this.#pending.get(id);
    if (!this.#pending.delete(id) || settle === undefined) return; // Nobody waits for it.
    if (message.error) settle({ ok: false, error: new RpcError(message.error) });
    else settle({ ok: true, result: message.result });
  }

  #settleAll(outcome: Outcome): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const settle of pending) settle(outcome);
  }
}

function parse(text: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === "object" && message !== null ? message : undefined;
  } catch {
    return undefined;
  }
}

/** A UTF-16 unit is at most 3 bytes of UTF-8, so that most texts need not be encoded to be measured. */
function bytesExceed(text: string, limit: number): boolean {
  return text.length * 3 > limit && utf8.encode(text).length > limit;
}
