/** One session as a program handles it. Holds no state of the session: that is the daemon's. */
import type { Client } from "./client.js";
import type { EventsOptions, EventStream } from "./events.js";
import type { ContentBlock, Methods, SessionPromptParams } from "./protocol.js";
import type { ToolDefinitions } from "./tools.js";

export type PromptOptions = Omit<SessionPromptParams, "sessionId" | "content">;

export class Session {
  readonly id: string;
  readonly #client: Client;

  /** Made by `Client.session`. */
  constructor(id: string, client: Client) {
    this.id = id;
    this.#client = client;
  }

  /**
   * Follow the session from a place in its log, at once; one stream per session and client at a time.
   *
   * @throws HoldfastError of kind `conflict` if a stream of this client follows it already.
   */
  events(options: EventsOptions = {}): EventStream {
    return this.#client.follow(this.id, options);
  }

  /** Send a prompt; resolves when it is durable. With a `promptId` of your own it may be sent twice. */
  prompt(
    content: string | ContentBlock[],
    options: PromptOptions = {},
  ): Promise<Methods["session/prompt"]["result"]> {
    const blocks: ContentBlock[] = typeof content === "string" ? [{ type: "text", text: content }] : content;
    return this.#client.call("session/prompt", { ...options, sessionId: this.id, content: blocks });
  }

  /** Cancel a run; without a `runId` whichever is running. */
  cancel(runId?: string): Promise<Methods["session/cancel"]["result"]> {
    return this.#client.call("session/cancel", { sessionId: this.id, ...(runId && { runId }) });
  }

  /** Wait for a run's end, an hour at most. */
  wait(run: { runId: string } | { promptId: string }): Promise<Methods["session/wait"]["result"]> {
    return this.#client.call("session/wait", { sessionId: this.id, ...run });
  }

  /**
   * Run tools for this session, in place of those hosted before; `{}` for none. They are registered again on
   * every new connection. Resolves when the daemon offers them.
   */
  hostTools(tools: ToolDefinitions): Promise<void> {
    return this.#client.hostTools(this.id, tools);
  }
}
