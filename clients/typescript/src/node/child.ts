/** A daemon of this program's own: a child that speaks on its stdin and stdout, and ends with us. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import type { Transport } from "../transport.js";
import { LinesTransport } from "./lines.js";

export interface SpawnOptions {
  /** The child's own state directory; it is locked while the child runs. */
  state: string;
  /** `holdfastd` if not given. */
  command?: string;
  /** Further arguments. */
  args?: readonly string[];
  /** The child's environment; ours if not given. */
  env?: NodeJS.ProcessEnv;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** How long a child may take to stop its runs and to close its log before it is killed. */
const STOP_MS_MAX = 15_000;

const STDERR_CHARS_KEPT = 2048;

/** Start a daemon. It stops when its stdin ends, so also if this process is killed. */
export async function dialChild(options: SpawnOptions, signal: AbortSignal): Promise<Transport> {
  signal.throwIfAborted();
  const { command = "holdfastd", args = [], state, env = process.env } = options;
  const child = spawn(command, ["--stdio", "--state", state, ...args], { env, stdio: ["pipe", "pipe", "pipe"] });
  const ended = endOf(command, child);
  await once(child, "spawn"); // Rejects with the reason if it cannot be started.
  child.on("error", () => {}); // A signal that could not be sent; `close` tells what matters.
  return new LinesTransport({ input: child.stdout, output: child.stdin, ended, close: () => stop(child, ended) });
}

function stop(child: Child, ended: Promise<string>): void {
  if (child.stdin.writableEnded) return;
  child.stdin.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
  void ended.then(() => clearTimeout(timer));
}

/** Give the child's last words when it has ended: they say why it could not start. */
function endOf(command: string, child: Child): Promise<string> {
  let said = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => (said = (said + text).slice(-STDERR_CHARS_KEPT)));
  return new Promise((resolve) => {
    child.once("close", (code, killedBy) => {
      resolve(`${command} ended with ${code ?? killedBy}. ${said.trim()}`.trim());
    });
  });
}
