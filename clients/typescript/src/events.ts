/**
 * A session's events as an async iterator: each once, in order, over as many connections as it takes.
 *
 *     waiting → subscribing → live ⇄ full,   ended from everywhere
 *
 * The stream's whole memory of the daemon is (epoch, reached). Whatever goes wrong, a lost connection, a batch
 * that does not follow, a buffer that is full because nobody iterates, ends in subscribing again from there.
 */
import type { RequestDesk } from "./answers.js";
import { BackOff } from "./back_off.js";
import { HoldfastError, type Outcome, RpcError } from "./errors.js";
import type {
  Event,
  Methods,
  Notifications,
  SessionEventsParams,
  SessionSubscribeParams,
  SessionSubscribeResult,
} from "./protocol.js";

export type EventType = Event["type"];

/** What is said between the events. */
export type Notice =
  /** Everything there was has been received; from here on it is live. */
  | { type: "caught_up"; head: number }
  /** The daemon reads the log for us, because we are slow or were away. */
  | { type: "lagged"; head: number }
  /** The log cannot be written; the session's run was cancelled. Reading goes on. */
  | { type: "halted"; kind: string };

export interface EventsOptions {
  /**
   * Exclusive: the last seq the program has. `head` (the default) begins with a snapshot, which `opened`
   * gives; `start` is 0.
   */
  after?: "head" | "start" | number;
  /** The epoch a numeric `after` belongs to: if the log is another one, the stream fails with `cursor_invalid`. */
  epoch?: string;
  /** Only these. */
  types?: readonly EventType[];
  /** `settled` leaves out deltas of blocks that have ended: their end has the whole. */
  deltas?: "all" | "settled" | "none";
  /** How much is kept for a program that does not iterate, in characters of JSON; 4 Mi if not given. */
  bufferCharsMax?: number;
  /** Called as it happens, so before events that are still in the buffer. Must not throw. */
  onNotice?: (notice: Notice) => void;
}

/** What a stream needs of the client. */
export interface StreamHost {
  request<M extends keyof Methods>(
    method: M,
    params: Methods[M]["params"],
    settle: (outcome: Outcome) => void,
  ): void;
  /** The stream has ended and takes nothing more. */
  released(): void;
}

/** Events the stream itself lives on, whatever the program wants to see. */
const VITAL: readonly EventType[] = ["session_ended"];
const ANSWERED: readonly EventType[] = ["request_opened", "request_resolved"];

const BUFFER_CHARS_MAX = 4 * 1024 * 1024;

/** So many batches in a row that do not follow, without one that does, mean that the log has a hole. */
const BROKEN_MAX = 3;

const RETRY_MS_MAX = 10_000;

interface Batch {
  readonly events: readonly Event[];
  readonly to: number;
  readonly chars: number;
}

type Phase = "waiting" | "subscribing" | "live" | "full" | "ended";

export class EventStream implements AsyncIterable<Event> {
  readonly sessionId: string;
  /** The first subscription's answer, with the snapshot if `after` was `head`. */
  readonly opened: Promise<SessionSubscribeResult>;

  readonly #options: EventsOptions;
  readonly #host: StreamHost;
  readonly #desk: RequestDesk | undefined;
  readonly #types: ReadonlySet<string> | undefined; // What the program wants; undefined: everything.
  #phase: Phase = "waiting";
  #wasLive = false;
  #epoch: string | undefined;
  #reached: "head" | "start" | number; // Received, and in the buffer or given.
  #cursor: number | undefined; // Given to the program.
  readonly #buffer: Batch[] = [];
  #bufferChars = 0;
  #broken = 0; // Batches that did not follow, since the last that did.
  #error: HoldfastError | undefined; // What the iteration ends with, once the buffer is empty.
  #iterating = false;
  #wake: () => void = () => {};
  readonly #retry = new BackOff(100, RETRY_MS_MAX);
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #resolveOpened!: (result: SessionSubscribeResult) => void;
  #rejectOpened!: (error: HoldfastError) => void;

  /** Made by `Session.events`. */
  constructor(sessionId: string, options: EventsOptions, host: StreamHost, desk: RequestDesk | undefined) {
    this.sessionId = sessionId;
    this.#options = options;
    this.#host = host;
    this.#desk = desk;
    this.#types = options.types && new Set(options.types);
    this.#epoch = options.epoch;
    this.#reached = options.after ?? "head";
    this.#cursor = typeof this.#reached === "number" ? this.#reached : undefined;
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve;
      this.#rejectOpened = reject;
    });
    this.opened.catch(() => {}); // The iteration ends with the same error.
  }

  /** The session's epoch, once opened. With `cursor` it is what a later stream goes on from. */
  get epoch(): string | undefined {
    return this.#epoch;
  }

  /** The seq up to which everything was given to the program; undefined until the stream is opened. */
  get cursor(): number | undefined {
    return this.#cursor;
  }

  /** Give the events as they come. Can be iterated once; leaving the loop closes the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    if (this.#iterating) throw new HoldfastError("conflict", "A stream is iterated once.");
    this.#iterating = true;
    try {
      for (;;) {
        const batch = this.#buffer[0];
        if (batch) {
          yield* this.#give(batch);
          this.#drop(batch);
        } else if (this.#phase === "ended") {
          if (this.#error) throw this.#error;
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve));
        }
      }
    } finally {
      this.close();
    }
  }

  /** Stop following. The iteration ends after what was received. */
  close(): void {
    this.#end(undefined, "unsubscribe");
  }

  *#give(batch: Batch): Generator<Event, void, undefined> {
    for (const event of batch.events) {
      this.#cursor = event.seq;
      yield event;
    }
    this.#cursor = batch.to; // What a filter left out counts as given.
  }

  #drop(batch: Batch): void {
    this.#buffer.shift();
    this.#bufferChars -= batch.chars;
    if (this.#phase === "full" && this.#buffer.length === 0) this.subscribe();
  }

  // Called by the client -----------------------------------------------------------------------------------

  /** Subscribe from where the stream stands; on a new connection, and when there is room again. */
  subscribe(): void {
    if (this.#phase === "ended" || (this.#phase === "full" && this.#buffer.length > 0)) return;
    clearTimeout(this.#retryTimer);
    this.#phase = "subscribing";
    this.#desk?.catchUp();
    this.#host.request("session/subscribe", this.#params(), (outcome) => this.#subscribed(outcome));
  }

  /** The connection is gone. */
  lost(): void {
    clearTimeout(this.#retryTimer);
    if (this.#phase === "subscribing" || this.#phase === "live") this.#phase = "waiting";
  }

  /** There will be no other connection. */
  fail(error: HoldfastError): void {
    this.#end(error.kind === "closed" ? undefined : error);
  }

  notified(method: keyof Notifications, params: unknown, chars: number): void {
    if (this.#phase !== "live") return; // Sent before the daemon read that we want something else.
    switch (method) {
      case "session/events":
        return this.#batch(params as SessionEventsParams, chars);
      case "session/caughtUp":
        return this.#caughtUp((params as Notifications["session/caughtUp"]).head);
      case "session/lagged":
        return this.#notice({ type: "lagged", head: (params as Notifications["session/lagged"]).head });
      case "session/halted":
        return this.#notice({ type: "halted", kind: (params as Notifications["session/halted"]).kind });
      case "session/gap":
        return this.#gap(params as Notifications["session/gap"]);
      default:
    }
  }

  // Subscribing --------------------------------------------------------------------------------------------

  #params(): SessionSubscribeParams {
    const { deltas } = this.#options;
    const vital = this.#desk ? [...VITAL, ...ANSWERED] : VITAL;
    return {
      sessionId: this.sessionId,
      after: this.#reached,
      ...(this.#epoch === undefined ? {} : { epoch: this.#epoch }),
      ...(this.#types && { types: [...new Set([...this.#types, ...vital])] }),
      ...(deltas && { deltas }),
    };
  }

  #subscribed(outcome: Outcome): void {
    if (this.#phase !== "subscribing") return;
    if (!outcome.ok) return this.#refused(outcome.error);
    const result = outcome.result as SessionSubscribeResult;
    const first = !this.#wasLive;
    this.#wasLive = true;
    this.#phase = "live";
    this.#epoch = result.epoch;
    this.#reached = result.from - 1;
    this.#cursor ??= this.#reached;
    this.#retry.reset();
    if (result.snapshot) for (const request of result.snapshot.requests ?? []) this.#desk?.opened(request);
    else if (first && result.from > 1) this.#desk?.listOlder();
    this.#resolveOpened(result);
  }

  #refused(error: HoldfastError): void {
    this.#phase = "waiting";
    if (error.kind === "connection_lost") return; // The next connection subscribes.
    if (!error.retryable) return this.#end(error);
    const leastMs = error instanceof RpcError ? (error.data.retryAfterMs ?? 0) : 0;
    this.#retryTimer = setTimeout(() => this.subscribe(), this.#retry.next(leastMs));
  }

  // Receiving ----------------------------------------------------------------------------------------------

  #batch(batch: SessionEventsParams, chars: number): void {
    if (batch.epoch !== this.#epoch || batch.from !== Number(this.#reached) + 1) return this.#beginAgain();
    this.#broken = 0;
    this.#reached = batch.to;
    for (const event of batch.events) this.#desk?.seen(event);
    const wanted = this.#types ? batch.events.filter((event) => this.#types?.has(event.type)) : batch.events;
    this.#buffer.push({ events: wanted, to: batch.to, chars });
    this.#bufferChars += chars;
    if (batch.events.some((event) => event.type === "session_ended")) this.#end();
    else if (this.#bufferChars > (this.#options.bufferCharsMax ?? BUFFER_CHARS_MAX)) this.#stop();
    this.#wake();
  }

  /** A batch is missing: ask for it. */
  #beginAgain(): void {
    this.#broken += 1;
    if (this.#broken > BROKEN_MAX) this.#end(gapAfter(this.#reached));
    else this.subscribe();
  }

  /** Nobody iterates: keep what there is and the place, and let the daemon forget us meanwhile. */
  #stop(): void {
    this.#phase = "full";
    this.#host.request("session/unsubscribe", { sessionId: this.sessionId }, () => {});
  }

  #caughtUp(head: number): void {
    this.#desk?.caughtUp();
    this.#notice({ type: "caught_up", head });
  }

  #gap(gap: Notifications["session/gap"]): void {
    this.#end(new HoldfastError("gap", `Events ${gap.from} to ${gap.to} were not sent: ${gap.reason}.`));
  }

  #notice(notice: Notice): void {
    this.#options.onNotice?.(notice);
  }

  #end(error?: HoldfastError, how?: "unsubscribe"): void {
    if (this.#phase === "ended") return;
    const subscribed = this.#phase === "subscribing" || this.#phase === "live";
    this.#phase = "ended";
    this.#error = error;
    clearTimeout(this.#retryTimer);
    this.#desk?.close();
    this.#host.released();
    if (how && subscribed) {
      this.#host.request("session/unsubscribe", { sessionId: this.sessionId }, () => {});
    }
    this.#rejectOpened(error ?? new HoldfastError("closed", "The stream was closed."));
    this.#wake();
  }
}

function gapAfter(seq: string | number): HoldfastError {
  return new HoldfastError("gap", `The events after ${seq} could not be had.`);
}
