/**
 * A daemon, as a program handles it: typed calls, sessions, notifications.
 *
 * Owns the link, the streams and the hosted tools, and tells the latter two when the connection changes.
 */
import { type Answers, RequestDesk } from "./answers.js";
import { HoldfastError } from "./errors.js";
import { type EventsOptions, EventStream } from "./events.js";
import { Link, type State } from "./link.js";
import type {
  ClientInfo,
  InitializeResult,
  Methods,
  Notifications,
  SessionCreateParams,
  ToolCallParams,
} from "./protocol.js";
import { type CallMethod, newId } from "./resend.js";
import { Session } from "./session.js";
import { type ToolDefinitions, ToolHost } from "./tools.js";
import type { Endpoint } from "./transport.js";

export interface ClientOptions {
  /** Who calls. A program that keeps its `id` over restarts keeps its idempotency keys. */
  client?: Partial<ClientInfo>;
  /** Answers requests to people in the sessions that are followed. */
  answers?: Answers;
  /** Called when the connection is lost (`connecting`), there again (`open`) or given up (`closed`). */
  onState?: (state: State) => void;
  /**
   * Told of what no call or stream reports: what an `answers` callback threw, answers and tool results that
   * could not be given. If not given, the error is thrown where nobody catches it.
   */
  onError?: (error: unknown) => void;
  /** The nth attempt to reconnect waits a random time below `baseMs * 2**n` and `maxMs`; 100 and 10,000 ms. */
  backOff?: { baseMs?: number; maxMs?: number };
  /** How long to go on trying to reconnect, in ms. For ever if not given: `close` ends it. */
  giveUpAfterMs?: number;
  /** A connection that is silent for this long is asked whether it lives; 30,000 ms, 0 for never. */
  pingIntervalMs?: number;
}

type Handler<M extends keyof Notifications> = (params: Notifications[M]) => void;

export class Client {
  readonly #link: Link;
  readonly #options: ClientOptions;
  readonly #streams = new Map<string, EventStream>(); // By session id; not ended.
  readonly #toolHosts = new Map<string, ToolHost>(); // By session id.
  readonly #handlers = new Map<string, Set<Handler<never>>>(); // By method.

  private constructor(endpoint: Endpoint, options: ClientOptions) {
    this.#options = options;
    this.#link = new Link(endpoint, settingsOf(options), {
      opened: () => this.#opened(),
      notified: (method, params, chars) => this.#notified(method as keyof Notifications, params, chars),
      lost: () => this.#lost(),
      ended: (error) => this.#ended(error),
    });
  }

  /**
   * Connect; one attempt. A connection that is lost later is made again.
   *
   * @throws HoldfastError `unreachable`, or an RpcError: `auth_required`, `unsupported_version`.
   */
  static async open(endpoint: Endpoint, options: ClientOptions): Promise<Client> {
    const client = new Client(endpoint, options);
    await client.#link.open();
    return client;
  }

  get state(): State {
    return this.#link.state;
  }

  /** What the daemon said to the latest `initialize`: who it is, its limits, this client's role. */
  get welcome(): InitializeResult {
    const { welcome } = this.#link;
    if (welcome === undefined) throw new HoldfastError("unreachable", "The client was never connected.");
    return welcome;
  }

  /**
   * Make a call. While there is no connection it waits for the next one.
   *
   * A call whose connection is lost is sent again, with its key, unless doing it twice could do two things.
   * `signal` asks the daemon to give the call up, which it does if it is not too late; a run is ended with
   * `session/cancel`.
   *
   * @throws RpcError as the daemon refuses; HoldfastError of an `OwnKind`.
   */
  call<M extends CallMethod>(
    method: M,
    params: Methods[M]["params"],
    options: { signal?: AbortSignal } = {},
  ): Promise<Methods[M]["result"]> {
    return this.#link.call(method, params, options.signal);
  }

  /** Give a session that exists. Asks nothing: what it does will say whether it is there. */
  session(sessionId: string): Session {
    return new Session(sessionId, this);
  }

  async createSession(params: SessionCreateParams): Promise<Session> {
    const { sessionId } = await this.call("session/create", params);
    return this.session(sessionId);
  }

  /** Be told of a kind of notification, on whichever connection; gives what ends it. */
  on<M extends keyof Notifications>(method: M, handler: Handler<M>): () => void {
    const handlers = this.#handlers.get(method) ?? new Set();
    this.#handlers.set(method, handlers.add(handler));
    return () => void handlers.delete(handler);
  }

  /**
   * End the connection, the streams and the waiting calls. Runs go on: nothing in the daemon depends on us.
   * Resolves when the connection has ended, and a spawned daemon too.
   */
  async close(): Promise<void> {
    await this.#link.close();
  }

  /** See `Session.events`. */
  follow(sessionId: string, options: EventsOptions): EventStream {
    this.#throwIfClosed();
    if (this.#streams.has(sessionId)) {
      throw new HoldfastError("conflict", `A stream of this client follows ${sessionId} already.`);
    }
    const host = {
      request: this.#link.request.bind(this.#link),
      released: () => void this.#streams.delete(sessionId),
    };
    const stream = new EventStream(sessionId, options, host, this.#desk(sessionId));
    this.#streams.set(sessionId, stream);
    stream.subscribe();
    return stream;
  }

  /** See `Session.hostTools`. */
  async hostTools(sessionId: string, tools: ToolDefinitions): Promise<void> {
    this.#throwIfClosed();
    let host = this.#toolHosts.get(sessionId);
    if (host === undefined) {
      const request = this.#link.request.bind(this.#link);
      host = new ToolHost(sessionId, { request, onError: (error) => this.#report(error) });
      this.#toolHosts.set(sessionId, host);
    }
    await host.replace(tools);
  }

  #throwIfClosed(): void {
    if (this.state === "closed") throw new HoldfastError("closed", "The client was closed.");
  }

  #desk(sessionId: string): RequestDesk | undefined {
    const { answers } = this.#options;
    if (answers === undefined) return undefined;
    return new RequestDesk({
      sessionId,
      answers,
      call: (method, params) => this.call(method, params),
      onError: (error) => this.#report(error),
    });
  }

  // From the link ----------------------------------------------------------------------------------------

  #opened(): void {
    // Tools first, so that a run that goes on finds them; the daemon's somebody-is-here needs the streams.
    for (const host of this.#toolHosts.values()) host.register();
    for (const stream of this.#streams.values()) stream.subscribe();
    this.#say("open");
  }

  #lost(): void {
    for (const host of this.#toolHosts.values()) host.lost();
    for (const stream of this.#streams.values()) stream.lost();
    this.#say("connecting");
  }

  #ended(error: HoldfastError): void {
    for (const host of this.#toolHosts.values()) host.fail(error);
    for (const stream of [...this.#streams.values()]) stream.fail(error);
    this.#say("closed");
  }

  #notified(method: keyof Notifications, params: unknown, chars: number): void {
    const sessionId = sessionOf(params);
    if (method === "tool/call") this.#toolHosts.get(sessionId)?.called(params as ToolCallParams);
    else this.#streams.get(sessionId)?.notified(method, params, chars);
    for (const handler of this.#handlers.get(method) ?? []) this.#guard(() => handler(params as never));
  }

  #say(state: State): void {
    this.#guard(() => this.#options.onState?.(state));
  }

  /** Run a callback of the program; its mistakes are not ours. */
  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const { onError } = this.#options;
    queueMicrotask(() => {
      if (onError === undefined) throw error;
      onError(error);
    });
  }
}

function settingsOf(options: ClientOptions) {
  const kinds = Object.keys(options.answers ?? {}) as (keyof Answers)[];
  return {
    hello: {
      protocol: "holdfast" as const,
      versions: [1],
      client: { id: `ts-${newId()}`, name: "@holdfast/client", ...options.client },
      capabilities: { answers: kinds },
    },
    backOffBaseMs: options.backOff?.baseMs ?? 100,
    backOffMaxMs: options.backOff?.maxMs ?? 10_000,
    giveUpAfterMs: options.giveUpAfterMs ?? Infinity,
    pingIntervalMs: options.pingIntervalMs ?? 30_000,
  };
}

function sessionOf(params: unknown): string {
  const id = typeof params === "object" && params !== null && "sessionId" in params ? params.sessionId : "";
  return typeof id === "string" ? id : "";
}
