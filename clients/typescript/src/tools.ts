/**
 * Tools that this program runs for a session. They belong to a connection: each new one registers them again.
 *
 * A call whose connection is lost has failed for the daemon, so its `run` is aborted and its result dropped.
 */
import { BackOff } from "./back_off.js";
import { HoldfastError, type Outcome, RpcError } from "./errors.js";
import type { ContentBlock, HostedTool, Methods, ToolCallParams } from "./protocol.js";

/** How a tool gives its result: text, or content blocks. */
export type ToolResult = string | ContentBlock[];

/** One call under way. */
export interface ToolCall {
  sessionId: string;
  toolCallId: string;
  /** Aborts when the call was cancelled, or its connection lost: nobody waits for the result any more. */
  signal: AbortSignal;
  /** Show output while the tool runs; resolves when there is room for more. */
  output(text: string): Promise<void>;
}

/** A tool, under its name. */
export interface ToolDefinition extends Omit<HostedTool, "name"> {
  /**
   * Runs one call. Several may run at once. `input` is what the model wrote; the daemon has not checked it.
   * What it throws is told to the model in the error's message.
   */
  run(input: unknown, call: ToolCall): ToolResult | Promise<ToolResult>;
}

export type ToolDefinitions = Readonly<Record<string, ToolDefinition>>;

/** What a host needs of the client. */
export interface ToolClient {
  request<M extends keyof Methods>(
    method: M,
    params: Methods[M]["params"],
    settle: (outcome: Outcome) => void,
  ): void;
  /** Told of tools that could not be registered again, and of output and results that could not be given. */
  onError(error: unknown): void;
}

/** Of one session, at once; beyond that the model is told to try later. */
const RUNNING_MAX = 64;

/** As the protocol has it for `tool/output`. */
const OUTPUT_CHARS_MAX = 262_144;

export class ToolHost {
  readonly #sessionId: string;
  readonly #client: ToolClient;
  readonly #running = new Map<string, AbortController>(); // By tool call id, on the present connection.
  readonly #retry = new BackOff(100, 10_000);
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #tools: ToolDefinitions | undefined; // Undefined if there is nothing to register.
  #wasRegistered = false; // These tools were accepted once, so that a refusal is about a connection.
  #registered: Registration = resolvers();

  constructor(sessionId: string, client: ToolClient) {
    this.#sessionId = sessionId;
    this.#client = client;
  }

  /** Replace the tools; resolves when the daemon offers them. */
  replace(tools: ToolDefinitions): Promise<void> {
    this.#tools = tools;
    this.#wasRegistered = false;
    this.#registered.reject(new HoldfastError("conflict", "The tools were replaced again."));
    this.#registered = resolvers();
    this.register();
    return this.#registered.promise;
  }

  /** Register on the present connection; if there is none, the next one will. */
  register(): void {
    clearTimeout(this.#retryTimer);
    if (this.#tools === undefined) return;
    const { promise } = this.#registered;
    const tools = Object.entries(this.#tools).map(([name, tool]) => specOf(name, tool));
    this.#client.request("tool/register", { sessionId: this.#sessionId, tools }, (outcome) => {
      if (promise === this.#registered.promise) this.#answered(outcome);
    });
  }

  /** The connection is gone. */
  lost(): void {
    clearTimeout(this.#retryTimer);
    for (const abort of this.#running.values()) abort.abort();
    this.#running.clear();
  }

  /** There will be no other connection. */
  fail(error: HoldfastError): void {
    this.lost();
    this.#registered.reject(error);
  }

  called(call: ToolCallParams): void {
    if (call.cancelled) {
      this.#running.get(call.toolCallId)?.abort();
      this.#running.delete(call.toolCallId);
    } else {
      void this.#serve(call);
    }
  }

  #answered(outcome: Outcome): void {
    if (outcome.ok) {
      this.#wasRegistered = true;
      this.#retry.reset();
      this.#registered.resolve();
    } else if (outcome.error.kind !== "connection_lost") {
      this.#refused(outcome.error);
    }
  }

  #refused(error: HoldfastError): void {
    // The daemon may not have noticed yet that our last connection, which has the tools, is dead.
    const heldByOurLast = this.#wasRegistered && error.kind === "conflict";
    if (error.retryable || heldByOurLast) {
      const leastMs = error instanceof RpcError ? (error.data.retryAfterMs ?? 0) : 0;
      this.#retryTimer = setTimeout(() => this.register(), this.#retry.next(leastMs));
    } else {
      this.#tools = undefined;
      if (this.#wasRegistered) this.#client.onError(error);
      this.#registered.reject(error);
    }
  }

  // Calls ----------------------------------------------------------------------------------------------

  async #serve(call: ToolCallParams): Promise<void> {
    if (this.#running.size >= RUNNING_MAX) return this.#complete(call, { error: "Too many calls at once." });
    const abort = new AbortController();
    this.#running.set(call.toolCallId, abort);
    const output = new Output((text) => this.#output(call, text), abort);
    const end = await this.#run(call, output, abort.signal);
    await output.flushed();
    if (abort.signal.aborted) return;
    this.#running.delete(call.toolCallId);
    await this.#complete(call, end);
  }

  async #run(call: ToolCallParams, output: Output, signal: AbortSignal): Promise<End> {
    try {
      const tools = this.#tools ?? {};
      const tool = Object.hasOwn(tools, call.tool) ? tools[call.tool] : undefined;
      if (tool === undefined) return { error: `There is no tool ${call.tool} any more.` };
      const { sessionId, toolCallId } = call;
      const context = { sessionId, toolCallId, signal, output: (text: string) => output.write(text) };
      const result = await tool.run(call.input, context);
      return { result: typeof result === "string" ? [{ type: "text", text: result }] : result };
    } catch (error) {
      return { error: sentence(error) };
    }
  }

  async #complete(call: ToolCallParams, end: End): Promise<void> {
    const outcome = await this.#send("tool/complete", { ...idsOf(call), ...end });
    if (outcome.ok || outcome.error.kind === "connection_lost") return;
    // The call must end, whatever is wrong with the result.
    const error = sentence(`The result could not be sent: ${outcome.error.message}`);
    const second = await this.#send("tool/complete", { ...idsOf(call), error });
    if (!second.ok && second.error.kind !== "connection_lost") this.#client.onError(second.error);
  }

  /** Send a piece of output; gives whether the call still runs. */
  async #output(call: ToolCallParams, text: string): Promise<boolean> {
    const outcome = await this.#send("tool/output", { ...idsOf(call), text });
    if (outcome.ok) return (outcome.result as Methods["tool/output"]["result"]).running;
    if (outcome.error.kind !== "connection_lost") this.#client.onError(outcome.error);
    return true;
  }

  #send<M extends "tool/output" | "tool/complete">(method: M, params: Methods[M]["params"]): Promise<Outcome> {
    return new Promise((resolve) => this.#client.request(method, params, resolve));
  }
}

type End = { result: ContentBlock[] } | { error: string };

/** Sends a call's output in order, one piece at a time; what is written meanwhile makes the next piece. */
class Output {
  readonly #send: (text: string) => Promise<boolean>;
  readonly #abort: AbortController;
  #waiting = "";
  #sending: Promise<void> | undefined;

  constructor(send: (text: string) => Promise<boolean>, abort: AbortController) {
    this.#send = send;
    this.#abort = abort;
  }

  async write(text: string): Promise<void> {
    if (this.#abort.signal.aborted) return;
    if (this.#waiting.length + text.length > 4 * OUTPUT_CHARS_MAX) {
      throw new HoldfastError("overloaded", "Output is written faster than it is sent: await `output`.");
    }
    this.#waiting += text;
    this.#sending ??= this.#drain();
    await this.#sending;
  }

  async flushed(): Promise<void> {
    await this.#sending;
  }

  async #drain(): Promise<void> {
    await Promise.resolve(); // So that what is written in one turn is one piece.
    while (this.#waiting && !this.#abort.signal.aborted) {
      const piece = wholeCharacters(this.#waiting.slice(0, OUTPUT_CHARS_MAX));
      this.#waiting = this.#waiting.slice(piece.length);
      if (!(await this.#send(piece))) this.#abort.abort();
    }
    this.#sending = undefined;
  }
}

/** Leave the first half of a surrogate pair to the next piece. */
function wholeCharacters(text: string): string {
  const last = text.charCodeAt(text.length - 1);
  return text.length > 1 && last >= 0xd800 && last < 0xdc00 ? text.slice(0, -1) : text;
}

function specOf(name: string, { description, inputSchema, kind }: ToolDefinition): HostedTool {
  return { name, description, inputSchema, ...(kind && { kind }) };
}

function idsOf({ sessionId, toolCallId }: ToolCallParams): { sessionId: string; toolCallId: string } {
  return { sessionId, toolCallId };
}

/** As the protocol bounds `error`. */
function sentence(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 16_000);
}

interface Registration {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: HoldfastError) => void;
}

/** A promise that may be rejected without anybody watching. */
function resolvers(): Registration {
  let resolve!: () => void;
  let reject!: (error: HoldfastError) => void;
  const promise = new Promise<void>((...settlers) => ([resolve, reject] = settlers));
  promise.catch(() => {});
  return { promise, resolve, reject };
}
