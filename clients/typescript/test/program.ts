/** A program of the tests, as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

export class Program {
  /** What it prints, also what it printed before it was killed. */
  readonly lines: Interface;
  /** The signal that killed it, or its exit code. */
  readonly ended: Promise<NodeJS.Signals | number>;
  readonly #process: ChildProcess;

  /** Start a program of this folder. */
  constructor(name: string, ...args: string[]) {
    const child = spawn(process.execPath, [fileURLToPath(new URL(name, import.meta.url)), ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    this.lines = createInterface({ input: child.stdout });
    this.ended = once(child, "exit").then(([code, signal]) => (signal ?? code) as NodeJS.Signals | number);
  }

  /** SIGKILL. */
  kill(): void {
    this.#process.kill("SIGKILL");
  }
}
