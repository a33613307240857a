/** Connecting from Node: to this user's daemon, to a known socket, to a child, or over a WebSocket. */
import { Client, type ClientOptions } from "../client.js";
import type { Endpoint } from "../transport.js";
import { type WebSocketOptions, webSocketEndpoint } from "../websocket.js";
import { dialChild, type SpawnOptions } from "./child.js";
import { readRecord, recordPath } from "./discovery.js";
import { dialSocket, type SocketAddress } from "./socket.js";

/** Where the daemon is; one of the four. */
export type Where =
  /** The daemon this user runs, or the one whose discovery record is named. Read again for each connection. */
  | { discover: true | { record: string } }
  /** A socket that is known. */
  | { endpoint: SocketAddress; token: string }
  /** A daemon of our own. */
  | { spawn: SpawnOptions }
  | WebSocketOptions;

export type NodeConnectOptions = ClientOptions & Where;

/**
 * Connect to a daemon.
 *
 * @throws HoldfastError `unreachable`, or an RpcError: `auth_required`, `unsupported_version`.
 */
export async function connect(options: NodeConnectOptions): Promise<Client> {
  return Client.open(endpointOf(options), options);
}

function endpointOf(where: Where): Endpoint {
  if ("discover" in where) {
    const path = where.discover === true ? recordPath() : where.discover.record;
    return { dial: (signal) => dialDiscovered(path, signal) };
  }
  if ("endpoint" in where) {
    const { endpoint, token } = where;
    return { dial: async (signal) => ({ transport: await dialSocket(endpoint, signal), token }) };
  }
  if ("spawn" in where) {
    return { dial: async (signal) => ({ transport: await dialChild(where.spawn, signal) }) };
  }
  return webSocketEndpoint(where);
}

async function dialDiscovered(path: string, signal: AbortSignal) {
  const { address, token } = await readRecord(path);
  return { transport: await dialSocket(address, signal), token };
}
