/**
 * Finds this user's daemon: where its discovery record lies, what it says, and whether to believe it.
 *
 * The record holds the owner's token, so it must be a file that only this user can read.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { homedir } from "node:os";
import { HoldfastError } from "../errors.js";
import type { SocketAddress } from "./socket.js";

/** What is used of a record. */
export interface Discovered {
  address: SocketAddress;
  token: string;
}

const RECORD_NAME = "daemon-v1.json";
const RECORD_BYTES_MAX = 64 * 1024;

/**
 * Give the path of the discovery record of a user.
 *
 * `HOLDFAST_HOME` moves it. Otherwise it lies below Application Support on macOS, and elsewhere in the XDG
 * runtime directory, or in the state directory if there is none.
 */
export function recordPath(
  environ: NodeJS.ProcessEnv = process.env,
  home: string = homedir(),
  platform: string = process.platform,
): string {
  const moved = environ["HOLDFAST_HOME"];
  if (moved) return `${moved}/run/${RECORD_NAME}`;
  if (platform === "darwin") return `${home}/Library/Application Support/holdfast/run/${RECORD_NAME}`;
  const runtime = absolute(environ["XDG_RUNTIME_DIR"]);
  if (runtime) return `${runtime}/holdfast/${RECORD_NAME}`;
  const state = absolute(environ["XDG_STATE_HOME"]) ?? `${home}/.local/state`;
  return `${state}/holdfast/run/${RECORD_NAME}`;
}

/** Read a record. */
export async function readRecord(path: string): Promise<Discovered> {
  const record: unknown = JSON.parse(await readPrivate(path));
  if (typeof record !== "object" || record === null) throw notARecord(path);
  const { token, unix, tcp } = record as { token?: unknown; unix?: unknown; tcp?: unknown };
  if (typeof token !== "string") throw notARecord(path);
  if (typeof unix === "string") return { token, address: { unix } };
  if (!Array.isArray(tcp)) throw notARecord(path);
  const [host, port] = tcp as unknown[];
  if (typeof host !== "string" || typeof port !== "number") throw notARecord(path);
  return { token, address: { host, port } };
}

async function readPrivate(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(notThere(path));
  try {
    await checkPrivate(file, path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(RECORD_BYTES_MAX), 0, RECORD_BYTES_MAX, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

async function checkPrivate(file: FileHandle, path: string): Promise<void> {
  const status = await file.stat();
  const ours = process.getuid === undefined || status.uid === process.getuid();
  if (status.isFile() && ours && (status.mode & 0o077) === 0) return;
  throw new HoldfastError("unreachable", `Refusing ${path}: it must be a file that only you can read (mode 0600).`);
}

function notThere(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new HoldfastError("unreachable", `No daemon is running: there is no ${path}.`, { cause });
  };
}

function notARecord(path: string): HoldfastError {
  return new HoldfastError("unreachable", `${path} is not a discovery record.`);
}

/** XDG says that relative paths are ignored. */
function absolute(path: string | undefined): string | undefined {
  return path?.startsWith("/") ? path : undefined;
}
