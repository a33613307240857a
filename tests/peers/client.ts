// What a typed client does with the generated types; compiled by test_typescript.py, never run.
import type {
  ClientNotifications,
  ErrorCodes,
  ErrorKind,
  Event,
  Methods,
  Notifications,
  SessionEventsParams,
} from "../../protocol/schema/holdfast";

/** A connection whose calls are typed by the method table alone. */
export interface Connection {
  call<M extends keyof Methods>(method: M, params: Methods[M]["params"]): Promise<Methods[M]["result"]>;
  notify<M extends keyof ClientNotifications>(method: M, params: ClientNotifications[M]): void;
  on<M extends keyof Notifications>(method: M, handler: (params: Notifications[M]) => void): void;
}

/** Narrowing by the tag gives each event its own members. */
export function textOf(event: Event): string {
  switch (event.type) {
    case "token_delta":
      return event.text.slice(event.offset);
    case "content_block_end":
      return event.kind === "text" ? event.text : "";
    case "tool_call_started":
      return `${event.tool}: ${event.title}`;
    case "run_completed":
      return `${event.stopReason} after ${event.durationMs.toFixed()} ms, ${event.usage.output ?? 0} tokens`;
    case "run_failed":
      return event.error.message;
    case "prompt_received":
      return event.content.map((block) => (block.type === "text" ? block.text : block.type)).join("\n");
    default:
      return event.runId ?? "";
  }
}

/** The gap check of a cursor. */
export function follows(cursor: number, batch: SessionEventsParams): boolean {
  return batch.from === cursor + 1 && batch.to >= batch.from;
}

export async function run(connection: Connection, cwd: string, token: string): Promise<number> {
  const client = { id: "typescript", name: "typescript", version: "7" };
  const { role } = await connection.call("initialize", { protocol: "holdfast", versions: [1], client, token });
  const least: "observer" | "approver" | "controller" = role;
  const { sessionId, epoch } = await connection.call("session/create", { cwd, thinking: "off" });
  connection.on("session/events", (batch) => console.assert(batch.epoch === epoch, least));
  await connection.call("session/subscribe", { sessionId, after: "start", deltas: "settled", onLag: "catch_up" });
  const content = [{ type: "text" as const, text: "say hello" }];
  const { runId } = await connection.call("session/prompt", { sessionId, content, delivery: "queue" });
  const { seq } = await connection.call("session/wait", { sessionId, runId });
  connection.notify("$/cancelRequest", { id: 7 });
  return seq ?? 0;
}

const cancelled: ErrorCodes["request_cancelled"] = -32800;
const kind: ErrorKind = "cursor_invalid";
console.assert(cancelled < 0, kind);
