/**
 * Which calls may be sent again when a connection was lost before their answer came.
 *
 * The table names every method: one that is added to the protocol does not compile until it stands here.
 *
 * - `keyed`: it changes something, and its `key` (a prompt's `promptId`) makes sure that this happens once;
 *   it gets one if the caller gave none.
 * - `again`: it only looks, so it may be made any number of times.
 * - `once`: it has no key, so a second one could do a second thing; it fails with `connection_lost`.
 * - `own`: it belongs to one connection, and this package makes it itself.
 */
import type { Methods } from "./protocol.js";

type Resend = "keyed" | "again" | "once" | "own";

/** The members of params; params without any are declared as an object of `never`. */
type Members<P> = string extends keyof P ? never : keyof P;

/** What has a `key` is keyed, and nothing else is. */
type ResendOf<M extends keyof Methods> =
  "key" extends Members<Methods[M]["params"]> ? "keyed" : Exclude<Resend, "keyed">;

const RESEND = {
  "initialize": "own",
  "ping": "again",
  "rpc.discover": "again",
  "session/create": "keyed",
  "session/list": "again",
  "session/get": "again",
  "session/update": "keyed",
  "session/close": "keyed",
  "session/delete": "keyed",
  "session/fork": "keyed",
  "session/export": "again",
  "session/prompt": "keyed",
  "session/cancel": "once",
  "session/wait": "again",
  "session/continue": "keyed",
  "queue/list": "again",
  "queue/update": "keyed",
  "queue/remove": "keyed",
  "session/subscribe": "own",
  "session/unsubscribe": "own",
  "session/read": "again",
  "request/list": "again",
  "request/respond": "keyed",
  "rule/list": "again",
  "rule/remove": "once",
  "agent/list": "again",
  "model/list": "again",
  "tool/list": "again",
  "tool/register": "own",
  "tool/output": "own",
  "tool/complete": "own",
  "trust/list": "again",
  "trust/remove": "once",
  "command/list": "again",
  "plugin/list": "again",
  "plugin/reload": "once",
  "mcp/list": "again",
  "mcp/restart": "once",
  "usage/get": "again",
  "daemon/status": "again",
  "daemon/drain": "once",
  "daemon/shutdown": "once",
  "token/create": "once",
  "token/list": "again",
  "token/revoke": "once",
} as const satisfies { readonly [M in keyof Methods]: ResendOf<M> };

/** The methods a program calls; the others are what `events`, `hostTools` and the connection itself are made of. */
export type CallMethod = { [M in keyof Methods]: (typeof RESEND)[M] extends "own" ? never : M }[keyof Methods];

/** Give the params with what makes the call safe to be sent again. */
export function withKey<M extends CallMethod>(method: M, params: Methods[M]["params"]): Methods[M]["params"] {
  if (RESEND[method] !== "keyed") return params;
  const given = params as { key?: string | null; promptId?: string | null };
  if (given.key) return params;
  if (method !== "session/prompt") return { ...params, key: newId() };
  return given.promptId ? params : { ...params, promptId: newId() };
}

/** Tell whether a call, with the params `withKey` gave, may be sent again. */
export function mayResend<M extends CallMethod>(method: M, params: Methods[M]["params"]): boolean {
  if (method !== "session/cancel") return RESEND[method] === "keyed" || RESEND[method] === "again";
  // Without a name it means the current run, which may be the next one by then.
  // And a queue may have been filled anew.
  const { runId, toolCallId, clearQueue } = params as Methods["session/cancel"]["params"];
  return Boolean((runId || toolCallId) && !clearQueue);
}

/** Give an id nobody else has. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
