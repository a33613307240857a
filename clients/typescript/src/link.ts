/**
 * One daemon, over as many connections as it takes. Knows no sessions.
 *
 *     dial → initialize → opened → … → lost → wait → dial → initialize → opened → …
 *
 * Calls outlive connections: one whose answer was lost is sent again, unchanged, on the next connection, if
 * that is safe (`resend`). Whoever needs more restored than calls listens to `opened` and uses `request`.
 */
import { BackOff, sleep } from "./back_off.js";
import { asUnreachable, failure, HoldfastError, type Outcome, RpcError } from "./errors.js";
import { encodeJson } from "./json.js";
import { watchSilence } from "./liveness.js";
import { type Notified, Peer } from "./peer.js";
import type { InitializeParams, InitializeResult, Methods } from "./protocol.js";
import { type CallMethod, mayResend, withKey } from "./resend.js";
import type { Endpoint } from "./transport.js";

/** Dialling and `initialize` together; a daemon that listens answers within milliseconds. */
const HANDSHAKE_MS_MAX = 10_000;

/** A call that was sent so often may be what the connections die of. Waiting for a run kills nobody. */
const SENDS_MAX = 10;

/** Unanswered calls of one client, those included that wait for a connection or a place. */
const CALLS_MAX = 1024;

/** Of the daemon's places for requests in flight, those left free for streams, tools and urgent calls. */
const PLACES_KEPT = 16;

/** Served by the daemon before all others, also when there is no place. */
const URGENT: ReadonlySet<string> = new Set(["session/cancel", "ping"]);

/** Takes long by nature, and so gets at most half of the places. */
const WAIT = "session/wait";

/** `connecting` while there is no connection; `closed` is final. */
export type State = "connecting" | "open" | "closed";

/** Told synchronously; must not throw. */
export interface LinkListener {
  /** A connection is initialized; unanswered calls are sent after this returns. */
  opened(): void;
  notified: Notified;
  /** The connection is gone, and another will be made. */
  lost(): void;
  /** There will be no other connection. */
  ended(error: HoldfastError): void;
}

export interface LinkSettings {
  /** `initialize` without its token. */
  hello: InitializeParams;
  backOffBaseMs: number;
  backOffMaxMs: number;
  /** How long to go on trying to reconnect. */
  giveUpAfterMs: number;
  pingIntervalMs: number;
}

/** A call that is not answered; `id` is set while it is under way on the present connection. */
interface Call {
  readonly method: string;
  readonly params: string;
  readonly again: boolean;
  readonly settle: (outcome: Outcome) => void;
  cancelled: boolean;
  sends: number;
  id: number | undefined;
}

export class Link {
  #state: State = "connecting";
  /** `initialize`'s answer on the latest connection. */
  #welcome: InitializeResult | undefined;
  #peer: Peer | undefined; // The present connection, initialized.
  readonly #calls = new Set<Call>(); // Unanswered, in the order in which they were made.
  #underWay = 0; // Of these, sent on the present connection.
  #waitsUnderWay = 0;
  readonly #closing = new AbortController(); // Its reason is the error everything ends with.
  readonly #endpoint: Endpoint;
  readonly #settings: LinkSettings;
  readonly #listener: LinkListener;
  readonly #backOff: BackOff;
  #running: Promise<void> = Promise.resolve(); // Ends when the last connection has.

  constructor(endpoint: Endpoint, settings: LinkSettings, listener: LinkListener) {
    this.#endpoint = endpoint;
    this.#settings = settings;
    this.#listener = listener;
    this.#backOff = new BackOff(settings.backOffBaseMs, settings.backOffMaxMs);
  }

  get state(): State {
    return this.#state;
  }

  get welcome(): InitializeResult | undefined {
    return this.#welcome;
  }

  /** Make the first connection, in one attempt, and keep one from then on. */
  async open(): Promise<void> {
    try {
      const peer = await this.#connect();
      this.#opened(peer);
      this.#running = this.#keep(peer);
    } catch (error) {
      throw asUnreachable(error);
    }
  }

  /** Make a call; resolves with its result. */
  call<M extends CallMethod>(
    method: M,
    params: Methods[M]["params"],
    signal?: AbortSignal,
  ): Promise<Methods[M]["result"]> {
    return new Promise((resolve, reject) => {
      this.#admit(signal);
      const keyed = withKey(method, params);
      const call: Call = {
        method,
        params: encodeJson(keyed), // Now, so that a second sending is equal to the first.
        again: mayResend(method, keyed),
        cancelled: false,
        sends: 0,
        id: undefined,
        settle: (outcome) => {
          signal?.removeEventListener("abort", cancel);
          if (outcome.ok) resolve(outcome.result as Methods[M]["result"]);
          else reject(outcome.error);
        },
      };
      const cancel = () => this.#cancel(call);
      signal?.addEventListener("abort", cancel);
      this.#calls.add(call);
      this.#sendWaiting();
    });
  }

  /** Make a request that belongs to the present connection; fails with it, or at once if there is none. */
  request<M extends keyof Methods>(
    method: M,
    params: Methods[M]["params"],
    settle: (outcome: Outcome) => void,
  ): void {
    if (this.#peer) this.#peer.request(method, encodeJson(params), settle);
    else settle(failure("connection_lost", "There is no connection."));
  }

  /** End for good; resolves when the connection has ended. */
  async close(): Promise<void> {
    this.#end(new HoldfastError("closed", "The client was closed."));
    await this.#running;
  }

  // Calls ----------------------------------------------------------------------------------------------

  #admit(signal: AbortSignal | undefined): void {
    if (this.#state === "closed") throw this.#closing.signal.reason;
    if (signal?.aborted) throw new HoldfastError("request_cancelled", "The call was cancelled.");
    if (this.#calls.size >= CALLS_MAX) {
      throw new HoldfastError("overloaded", `At most ${CALLS_MAX} calls may be unanswered.`);
    }
  }

  /** Send what may be sent now, oldest first. */
  #sendWaiting(): void {
    for (const call of this.#calls) {
      const peer = this.#peer;
      if (peer === undefined || peer.isClosed) return;
      if (call.id === undefined && this.#hasPlace(call)) this.#send(peer, call);
    }
  }

  #hasPlace({ method }: Call): boolean {
    const places = Math.max(2, (this.#welcome?.limits.requestsInFlightMax ?? 0) - PLACES_KEPT);
    if (method === WAIT && this.#waitsUnderWay >= places / 2) return false;
    return URGENT.has(method) || this.#underWay < places;
  }

  #send(peer: Peer, call: Call): void {
    call.sends += 1;
    this.#count(call, 1);
    let answered = false;
    const id = peer.request(call.method, call.params, (outcome) => {
      answered = true;
      call.id = undefined;
      this.#count(call, -1);
      if (outcome.ok || outcome.error.kind !== "connection_lost" || !this.#keeps(call)) {
        this.#settle(call, outcome);
      }
      this.#sendWaiting(); // There is a place now.
    });
    if (!answered) call.id = id;
  }

  #count(call: Call, change: 1 | -1): void {
    this.#underWay += change;
    if (call.method === WAIT) this.#waitsUnderWay += change;
  }

  /** Tell whether a call whose connection was lost waits for the next one. */
  #keeps(call: Call): boolean {
    const tired = call.sends >= SENDS_MAX && call.method !== WAIT;
    return call.again && !tired && !call.cancelled && this.#state !== "closed";
  }

  /** The daemon decides whether it is too late to cancel what it has read. */
  #cancel(call: Call): void {
    call.cancelled = true;
    if (call.id !== undefined) this.#peer?.cancel(call.id);
    else this.#settle(call, failure("request_cancelled", "The call was cancelled."));
  }

  #settle(call: Call, outcome: Outcome): void {
    if (!this.#calls.delete(call)) return;
    const cancelledAndLost = call.cancelled && !outcome.ok && outcome.error.kind === "connection_lost";
    call.settle(cancelledAndLost ? failure("request_cancelled", "The call was cancelled.") : outcome);
  }

  // Connections ----------------------------------------------------------------------------------------

  async #connect(): Promise<Peer> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(HANDSHAKE_MS_MAX)]);
    const { transport, token } = await this.#endpoint.dial(signal);
    const peer = new Peer(transport, this.#listener.notified);
    const drop = () => peer.close("The daemon did not answer in time.");
    if (signal.aborted) drop();
    signal.addEventListener("abort", drop);
    try {
      this.#welcome = await initialize(peer, { ...this.#settings.hello, ...(token ? { token } : {}) });
      peer.messageBytesMax = this.#welcome.limits.messageBytesMax;
      return peer;
    } catch (error) {
      peer.close("The handshake failed.");
      throw error;
    } finally {
      signal.removeEventListener("abort", drop);
    }
  }

  /** Hold a connection until the link ends. */
  async #keep(first: Peer): Promise<void> {
    let peer = first;
    try {
      for (;;) {
        const since = performance.now();
        await this.#untilLost(peer);
        // What ends again and again as soon as it is open is not to be dialled without a pause.
        if (performance.now() - since >= this.#settings.backOffMaxMs) this.#backOff.reset();
        peer = await this.#reconnect();
        this.#opened(peer);
      }
    } catch (error) {
      this.#end(asUnreachable(error));
    }
  }

  async #untilLost(peer: Peer): Promise<void> {
    const stopWatching = watchSilence(peer, this.#settings.pingIntervalMs);
    await peer.ended;
    stopWatching();
    this.#peer = undefined;
    this.#closing.signal.throwIfAborted();
    this.#state = "connecting";
    this.#listener.lost();
  }

  async #reconnect(): Promise<Peer> {
    const giveUpAt = performance.now() + this.#settings.giveUpAfterMs;
    let refusals = 0;
    for (;;) {
      await sleep(this.#backOff.next(), this.#closing.signal);
      this.#closing.signal.throwIfAborted();
      try {
        return await this.#connect();
      } catch (error) {
        this.#closing.signal.throwIfAborted();
        // The first refusal may be that of a token which a successor has replaced since we read it.
        if (error instanceof RpcError && !error.retryable && ++refusals > 1) throw error;
        if (performance.now() > giveUpAt) throw error;
      }
    }
  }

  #opened(peer: Peer): void {
    if (this.#closing.signal.aborted) {
      peer.close("The client was closed.");
      throw this.#closing.signal.reason;
    }
    this.#peer = peer;
    this.#state = "open";
    this.#listener.opened();
    this.#sendWaiting();
  }

  #end(error: HoldfastError): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#closing.abort(error);
    for (const call of this.#calls) this.#settle(call, { ok: false, error });
    this.#listener.ended(error);
    this.#peer?.close(error.message);
  }
}

function initialize(peer: Peer, params: InitializeParams): Promise<InitializeResult> {
  return new Promise((resolve, reject) => {
    peer.request("initialize", encodeJson(params), (outcome) => {
      if (outcome.ok) resolve(outcome.result as InitializeResult);
      else if (outcome.error.kind === "connection_lost") reject(asRefused(outcome.error));
      else reject(outcome.error);
    });
  });
}

function asRefused(error: HoldfastError): HoldfastError {
  return new HoldfastError("unreachable", error.message, { cause: error });
}
