/** Everything that works in browsers and in Node; `@holdfast/client/node` adds sockets, pipes and discovery. */
export type { Answer, AnswerRequest, Answers, RequestContext } from "./answers.js";
export { Client, type ClientOptions } from "./client.js";
export { connect, type ConnectOptions } from "./connect.js";
export { HoldfastError, type Kind, type OwnKind, RpcError } from "./errors.js";
export { type EventsOptions, type EventStream, type EventType, type Notice } from "./events.js";
export type { State } from "./link.js";
export type * as protocol from "./protocol.js";
export type { CallMethod } from "./resend.js";
export type { PromptOptions, Session } from "./session.js";
export type { ToolCall, ToolDefinition, ToolDefinitions, ToolResult } from "./tools.js";
export type { Dialled, Endpoint, Receiver, Transport } from "./transport.js";
export type { WebSocketConstructor, WebSocketLike, WebSocketOptions } from "./websocket.js";
