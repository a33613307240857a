/** Connecting from wherever there is a WebSocket. */
import { Client, type ClientOptions } from "./client.js";
import { type WebSocketOptions, webSocketEndpoint } from "./websocket.js";

export type ConnectOptions = ClientOptions & WebSocketOptions;

/**
 * Connect to a daemon's WebSocket.
 *
 * @throws HoldfastError `unreachable`, or an RpcError: `unsupported_version`.
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  return Client.open(webSocketEndpoint(options), options);
}
