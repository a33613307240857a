/**
 * A relay made with the TypeScript client; `relay_lines.py` says what a relay is and what its lines mean.
 *
 * Events are told as their stream gives them, and everything else once the streams have given what they have:
 * they do so before Node turns to anything new. `tool/register` makes tools that this program hosts; what the
 * conversation says to their calls is said to them.
 */
import { createInterface } from "node:readline";
import {
  type CallMethod,
  type Client,
  connect,
  type EventStream,
  HoldfastError,
  type protocol,
  RpcError,
  type State,
  type ToolCall,
  type ToolDefinitions,
  type ToolResult,
} from "@holdfast/client/node";

interface Message {
  id: number;
  method: string;
  params?: unknown;
}

interface Hello extends Message {
  params: protocol.InitializeParams;
}

interface Attach {
  runtime: string;
  name: string;
  hello: Hello;
}

type Command = { client: number } & ({ connect: Attach } | { send: Message[] } | { close: true });

const HEARD = [
  "sessions/changed",
  "daemon/state",
  "tool/call",
  "session/caughtUp",
  "session/halted",
  "session/lagged",
  "session/gap",
] as const;

const LAST_PING_MS = 1_000;

/** A session that is followed, and how far its events were told. */
interface Followed {
  readonly params: protocol.SessionSubscribeParams;
  readonly stream: EventStream;
  told: number;
  /** The stream has given an event that is not told yet: nobody has come back since the connection was lost. */
  holds: boolean;
  /** Notifications that came meanwhile. */
  readonly held: { method: string; params: unknown }[];
}

/** A call of a hosted tool. */
interface Running {
  readonly call: ToolCall;
  readonly resolve: (result: ToolResult) => void;
  readonly reject: (error: Error) => void;
}

function write(number: number, body: string): void {
  process.stdout.write(`${number} ${body}\n`);
}

/** One client of a conversation. `number` is where it is told what the client hears; another after each loss. */
class Relay {
  number: number;
  lost = false;
  #client!: Client;
  #doing: Promise<void> = Promise.resolve(); // Commands are done in their order.
  #begun: Promise<void> = Promise.resolve(); // Streams begin in theirs.
  readonly #followed = new Map<string, Followed>(); // By session.
  readonly #paused = new Map<string, Followed>(); // Of these, those nobody came back to since the loss.
  readonly #beginning = new Map<string, Followed>();
  readonly #calls = new Map<number, AbortController>(); // By the conversation's id.
  readonly #running = new Map<string, Running>(); // By tool call.
  readonly #waiting: (() => void)[] = []; // For somebody to come back.

  constructor(number: number) {
    this.number = number;
  }

  do(work: () => void | Promise<void>): void {
    this.#doing = this.#doing.then(work);
  }

  async attach({ runtime, hello }: Attach): Promise<void> {
    this.#client = await connect({
      discover: { record: `${runtime}/daemon-v1.json` },
      client: hello.params.client,
      onState: (state) => this.#changed(state),
      backOff: { baseMs: 20, maxMs: 200 },
    });
    for (const method of HEARD) this.#client.on(method, (params) => this.#heard(method, params));
    this.#answer(this.number, hello, this.#client.welcome);
  }

  /** Somebody attaches by the name of a client whose connection was lost: the library has another by then. */
  async back(number: number, hello: Hello): Promise<void> {
    await this.#client.call("ping", {});
    this.number = number;
    this.lost = false;
    this.#answer(number, hello, this.#client.welcome);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) void this.#make(this.number, message);
  }

  async close(): Promise<void> {
    const signal = AbortSignal.timeout(LAST_PING_MS);
    // What was to be sent before is sent; or the daemon has just gone.
    if (this.#client.state === "open") await this.#client.call("ping", {}, { signal }).catch(() => {});
    await this.#client.close();
  }

  // Calls --------------------------------------------------------------------------------------------------

  async #make(number: number, message: Message): Promise<void> {
    try {
      if (message.method === "session/subscribe") await this.#follow(number, message);
      else this.#answer(number, message, await this.#result(message));
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      const { message: text } = error;
      const refusal =
        error instanceof RpcError
          ? { code: error.code, message: text, data: error.data }
          : { code: 0, message: text, data: { kind: error.kind } };
      this.#later(number, { jsonrpc: "2.0", id: message.id, error: refusal });
    }
  }

  async #result({ id, method, params }: Message): Promise<unknown> {
    switch (method) {
      case "initialize":
        return this.#client.welcome;
      case "$/cancelRequest":
        return this.#calls.get((params as protocol.CancelRequestParams).id as number)?.abort();
      case "session/unsubscribe":
        return this.#unfollow((params as protocol.SessionUnsubscribeParams).sessionId);
      case "tool/register":
        return this.#host(params as protocol.ToolRegisterParams);
      case "tool/output":
        return this.#output(params as protocol.ToolOutputParams);
      case "tool/complete":
        return this.#complete(params as protocol.ToolCompleteParams);
      default: {
        const abort = new AbortController();
        this.#calls.set(id, abort);
        return this.#client.call(method as CallMethod, (params ?? {}) as never, { signal: abort.signal });
      }
    }
  }

  #answer(number: number, { id }: Message, result: unknown): void {
    if (id !== undefined) this.#later(number, { jsonrpc: "2.0", id, result });
  }

  /** Tell something when all events that are here are told. */
  #later(number: number, message: object): void {
    setImmediate(() => this.#tell(number, JSON.stringify(message)));
  }

  #tell(number: number, body: string): void {
    if (number !== this.number || this.lost) return;
    for (const followed of this.#followed.values()) this.#tellCursor(followed);
    write(number, body);
  }

  // Streams ------------------------------------------------------------------------------------------------

  /** Begin a stream, one after the other; what is notified meanwhile is told after its answer. */
  #follow(number: number, message: Message): Promise<void> {
    const begun = this.#begun.then(() => this.#begin(number, message));
    this.#begun = begun.catch(() => {});
    return begun;
  }

  async #begin(number: number, message: Message): Promise<void> {
    const params = message.params as protocol.SessionSubscribeParams;
    const { sessionId } = params;
    const paused = this.#goingOn(params);
    const followed = paused ?? this.#open(params);
    this.#beginning.set(sessionId, followed);
    try {
      const opened = await followed.stream.opened;
      const { snapshot } = await this.#client.call("session/get", { sessionId });
      const result = paused ? { ...opened, from: paused.told + 1, head: snapshot.head } : opened;
      followed.told = result.from - 1;
      await new Promise(setImmediate);
      this.#tell(number, JSON.stringify({ jsonrpc: "2.0", id: message.id, result }));
      this.#followed.set(sessionId, followed);
    } finally {
      this.#beginning.delete(sessionId);
    }
    if (!paused) void this.#pump(followed);
    for (const goOn of this.#waiting.splice(0)) goOn();
    for (const { method, params } of followed.held.splice(0)) this.#heard(method, params);
  }

  /** Give the stream that was followed when the connection was lost, if its rest is what is wanted. */
  #goingOn(params: protocol.SessionSubscribeParams): Followed | undefined {
    const paused = this.#paused.get(params.sessionId);
    this.#paused.delete(params.sessionId);
    if (paused === undefined) return undefined;
    const { epoch = paused.stream.epoch, after, types, deltas } = params;
    const same = JSON.stringify([types, deltas]) === JSON.stringify([paused.params.types, paused.params.deltas]);
    if (same && after === paused.told && epoch === paused.stream.epoch) return paused;
    paused.stream.close();
    return undefined;
  }

  #open(params: protocol.SessionSubscribeParams): Followed {
    const { sessionId, after, epoch, types, deltas } = params;
    this.#followed.get(sessionId)?.stream.close();
    this.#followed.delete(sessionId);
    const stream = this.#client.session(sessionId).events({
      ...(after !== undefined && { after }),
      ...(epoch && { epoch }),
      ...(types && { types: types as protocol.Event["type"][] }),
      ...(deltas && { deltas }),
    });
    return { params, stream, told: 0, holds: false, held: [] };
  }

  async #unfollow(sessionId: string): Promise<protocol.SessionUnsubscribeResult> {
    await new Promise(setImmediate);
    const followed = this.#followed.get(sessionId);
    if (followed === undefined) return {};
    this.#tellCursor(followed);
    this.#followed.delete(sessionId);
    followed.stream.close();
    return { cursor: followed.told };
  }

  /** Tell the events of a stream as they come. */
  async #pump(followed: Followed): Promise<void> {
    const { sessionId } = followed.stream;
    for await (const event of followed.stream) {
      followed.holds = true;
      while (this.#paused.get(sessionId) === followed) await this.#comeBack();
      if (this.#followed.get(sessionId) !== followed) return;
      followed.holds = false;
      this.#tellEvents(followed, [event], event.seq);
    }
  }

  #comeBack(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  #tellEvents(followed: Followed, events: protocol.Event[], to: number): void {
    const { sessionId, epoch } = followed.stream;
    const params = { sessionId, epoch, from: followed.told + 1, to, events };
    followed.told = to;
    write(this.number, JSON.stringify({ jsonrpc: "2.0", method: "session/events", params }));
  }

  /** Tell of what a filter left out. */
  #tellCursor(followed: Followed): void {
    const { cursor = 0 } = followed.stream;
    if (!followed.holds && cursor > followed.told) this.#tellEvents(followed, [], cursor);
  }

  // Tools --------------------------------------------------------------------------------------------------

  async #host({ sessionId, tools }: protocol.ToolRegisterParams): Promise<protocol.ToolRegisterResult> {
    const run = (_input: unknown, call: ToolCall) =>
      new Promise<ToolResult>((resolve, reject) => {
        this.#running.set(call.toolCallId, { call, resolve, reject });
      });
    const hosted: ToolDefinitions = Object.fromEntries(tools.map(({ name, ...tool }) => [name, { ...tool, run }]));
    await this.#client.session(sessionId).hostTools(hosted);
    return { registered: tools.length };
  }

  async #output({ toolCallId, text }: protocol.ToolOutputParams): Promise<protocol.ToolOutputResult> {
    const running = this.#running.get(toolCallId);
    await running?.call.output(text);
    return { running: running !== undefined && !running.call.signal.aborted };
  }

  #complete({ toolCallId, result, error }: protocol.ToolCompleteParams): protocol.ToolCompleteResult {
    const running = this.#running.get(toolCallId);
    if (error == null) running?.resolve(result ?? []);
    else running?.reject(new Error(error));
    return { accepted: this.#running.delete(toolCallId) };
  }

  // The connection -----------------------------------------------------------------------------------------

  #heard(method: string, params: unknown): void {
    const { sessionId } = params as { sessionId?: string };
    const waits = sessionId && (this.#beginning.get(sessionId) ?? this.#paused.get(sessionId));
    if (!method.startsWith("session/")) this.#later(this.number, { jsonrpc: "2.0", method, params });
    else if (waits) waits.held.push({ method, params });
    else if (sessionId && this.#followed.has(sessionId)) this.#later(this.number, { jsonrpc: "2.0", method, params });
  }

  #changed(state: State): void {
    if (state !== "connecting") return;
    setImmediate(() => {
      this.#tell(this.number, "end");
      this.lost = true;
      for (const [sessionId, followed] of this.#followed) this.#paused.set(sessionId, followed);
      this.#followed.clear();
    });
  }
}

const relays = new Map<number, Relay>();
const byName = new Map<string, Relay>(); // And the daemon's directory.

function obey(command: Command): void {
  const { client: number } = command;
  if ("connect" in command) return attach(number, command.connect);
  const relay = relays.get(number);
  if (relay === undefined) return;
  if ("send" in command) relay.do(() => relay.send(command.send));
  else relay.do(() => relay.close());
  if ("close" in command) relays.delete(number);
}

function attach(number: number, where: Attach): void {
  const key = JSON.stringify([where.runtime, where.name]);
  const before = byName.get(key);
  if (before?.lost) {
    relays.delete(before.number);
    relays.set(number, before);
    before.do(() => before.back(number, where.hello));
    return;
  }
  const relay = new Relay(number);
  relays.set(number, relay);
  byName.set(key, relay);
  relay.do(() => relay.attach(where));
}

for await (const line of createInterface({ input: process.stdin })) obey(JSON.parse(line) as Command);
process.exit();
