/**
 * What a connection is made over: whole JSON texts in both directions, nothing else.
 *
 * Implemented by `node/lines` (unix socket, TCP and a child's stdio) and `websocket`.
 */

/** Takes what a transport receives. */
export interface Receiver {
  /** One message; may close the transport. */
  received(text: string): void;
  /** The transport is gone, for a reason in words; once, and nothing is received afterwards. */
  closed(reason: string): void;
}

/** One open connection. */
export interface Transport {
  /** Begin to hand over what comes. Called once, in the turn in which dialling gave the transport. */
  start(receiver: Receiver): void;
  /** Send one JSON text; ignored when closed. */
  send(text: string): void;
  /** End the connection; the receiver is told when it has ended. May be called again. */
  close(): void;
}

/** A transport, and the token `initialize` needs on it; none where the transport itself was let in. */
export interface Dialled {
  transport: Transport;
  token?: string;
}

/** Where a daemon is. */
export interface Endpoint {
  /** Connect. Called again for each new connection. Rejects if `signal` aborts; then nothing is left open. */
  dial(signal: AbortSignal): Promise<Dialled>;
}
