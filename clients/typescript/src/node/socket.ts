/** A daemon on a unix socket or on loopback TCP. */
import { lstat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { HoldfastError } from "../errors.js";
import type { Transport } from "../transport.js";
import { LinesTransport } from "./lines.js";

/** Where: the path of a unix socket, or a host of this machine and a port. */
export type SocketAddress = { unix: string } | { host?: string; port: number };

const LOOPBACK: readonly string[] = ["127.0.0.1", "::1", "localhost"];

/** Connect. The token may be sent there: it is this user's socket, or this machine's port. */
export async function dialSocket(address: SocketAddress, signal: AbortSignal): Promise<Transport> {
  if ("unix" in address) {
    await checkOwner(address.unix);
    return transportOf(await open(connect(address.unix), signal));
  }
  const { host = "127.0.0.1", port } = address;
  if (!LOOPBACK.includes(host)) {
    throw new HoldfastError("unreachable", `Refusing ${host}: the token would leave this machine in the clear.`);
  }
  return transportOf(await open(connect({ host, port, noDelay: true }), signal));
}

async function checkOwner(path: string): Promise<void> {
  const { uid } = await lstat(path);
  if (process.getuid && uid !== process.getuid()) {
    throw new HoldfastError("unreachable", `Refusing ${path}: another user listens on it.`);
  }
}

function open(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const abort = () => socket.destroy(new HoldfastError("unreachable", "The connection was not made in time."));
    const settle = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    socket.once("error", (error) => {
      settle();
      reject(error);
    });
    socket.once("connect", () => {
      settle();
      resolve(socket);
    });
  });
}

function transportOf(socket: Socket): Transport {
  let reason = "The connection was lost.";
  socket.on("error", (error) => (reason = `The connection was lost: ${error.message}.`));
  const ended = new Promise<string>((resolve) => socket.once("close", () => resolve(reason)));
  return new LinesTransport({ input: socket, output: socket, ended, close: () => socket.destroy() });
}
