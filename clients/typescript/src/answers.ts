/**
 * Answers a followed session's requests to people through callbacks of the program.
 *
 * A request is put to the callback once it is known to be still open: not while the log is being caught up
 * with, where its resolution may follow.
 */
import type { CallMethod } from "./resend.js";
import type { Event, Methods, RequestOpened, RequestRespondParams } from "./protocol.js";

/**
 * `outcome` is `allow`, `deny`, or the id of one of the request's options; `values` are what a form is filled
 * in with, by the names of its fields.
 */
export type Answer = Pick<RequestRespondParams, "outcome" | "scope" | "message" | "values">;

export interface RequestContext {
  sessionId: string;
  /** Aborts when somebody else answered, the request expired, or the stream ended. */
  signal: AbortSignal;
}

/**
 * Answers a request, or gives undefined to leave it to others. May wait as long as it takes; called once per
 * request and stream. If it throws, nothing is answered: a mistake never approves.
 */
export type AnswerRequest = (
  request: RequestOpened,
  context: RequestContext,
) => Answer | undefined | Promise<Answer | undefined>;

/** By kind of request; the kinds that are there are declared to the daemon. */
export type Answers = { [K in RequestOpened["kind"]]?: AnswerRequest };

export interface DeskOptions {
  sessionId: string;
  answers: Answers;
  call<M extends CallMethod>(method: M, params: Methods[M]["params"]): Promise<Methods[M]["result"]>;
  /** Told of what a callback threw and of answers that could not be given. */
  onError(error: unknown): void;
}

interface Item {
  readonly request: RequestOpened;
  readonly withdrawn: AbortController;
  asked: boolean;
}

export class RequestDesk {
  readonly #options: DeskOptions;
  readonly #open = new Map<string, Item>(); // As far as the log was read; as many as the session has.
  #closed = false;
  #live = false; // The log was read to its head.
  #resolvedMeanwhile: Set<string> | undefined; // Set while a list of what was open is on its way.

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** The log is being caught up with. */
  catchUp(): void {
    this.#live = false;
  }

  /** The log was read to its head: what is open now is really open. */
  caughtUp(): void {
    this.#live = true;
    for (const item of this.#open.values()) this.#ask(item);
  }

  seen(event: Event): void {
    if (event.type === "request_opened") this.opened(event);
    else if (event.type === "request_resolved") this.#resolved(event.requestId);
  }

  opened(request: RequestOpened): void {
    if (this.#closed || this.#open.has(request.requestId)) return;
    const item = { request, withdrawn: new AbortController(), asked: false };
    this.#open.set(request.requestId, item);
    if (this.#live) this.#ask(item);
  }

  /** Take in what was opened before the place from which the log is read. */
  listOlder(): void {
    this.#resolvedMeanwhile = new Set();
    this.#list().catch((error: unknown) => {
      if (!this.#closed) this.#options.onError(error);
    });
  }

  /** Withdraw everything, and take in no more. */
  close(): void {
    this.#closed = true;
    for (const id of [...this.#open.keys()]) this.#resolved(id);
  }

  async #list(): Promise<void> {
    const { sessionId } = this.#options;
    const { requests } = await this.#options.call("request/list", { sessionId });
    for (const { request } of requests) {
      if (!this.#resolvedMeanwhile?.has(request.requestId)) this.opened(request);
    }
    this.#resolvedMeanwhile = undefined;
  }

  #resolved(requestId: string): void {
    this.#resolvedMeanwhile?.add(requestId);
    this.#open.get(requestId)?.withdrawn.abort();
    this.#open.delete(requestId);
  }

  #ask(item: Item): void {
    const answer = this.#options.answers[item.request.kind];
    if (answer === undefined || item.asked) return;
    item.asked = true;
    this.#answer(item, answer).catch((error: unknown) => {
      if (!item.withdrawn.signal.aborted) this.#options.onError(error);
    });
  }

  async #answer({ request, withdrawn }: Item, ask: AnswerRequest): Promise<void> {
    const { sessionId } = this.#options;
    const whole = request.truncated ? await this.#readWhole(request) : request;
    if (withdrawn.signal.aborted) return;
    const answer = await ask(whole, { sessionId, signal: withdrawn.signal });
    if (answer === undefined || withdrawn.signal.aborted) return;
    const { outcome, scope, message, values } = answer;
    await this.#options.call("request/respond", {
      sessionId,
      requestId: request.requestId,
      outcome,
      ...(scope === undefined ? {} : { scope }),
      ...(message === undefined ? {} : { message }),
      ...(values === undefined ? {} : { values }),
    });
  }

  /** A snapshot cuts what is large; nobody is to approve what they did not see. */
  async #readWhole(request: RequestOpened): Promise<RequestOpened> {
    const { sessionId } = this.#options;
    const page = await this.#options.call("session/read", { sessionId, after: request.seq - 1, limit: 1 });
    const event = page.events[0];
    if (event?.type !== "request_opened") throw new Error(`Request ${request.requestId} is not in the log.`);
    return event;
  }
}
