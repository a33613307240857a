/** All of `@holdfast/client`, with a `connect` that also knows sockets, pipes and discovery. */
export * from "../index.js";
export type { SpawnOptions } from "./child.js";
export { connect, type NodeConnectOptions, type Where } from "./connect.js";
export { recordPath } from "./discovery.js";
export type { SocketAddress } from "./socket.js";
