/** A real daemon, started and killed by the tests. `HOLDFASTD` names the command. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Client, connect, type NodeConnectOptions } from "../src/node/index.js";

export interface DiscoveryRecord {
  token: string;
  unix: string;
  tcp: [string, number];
  ws: [string, number];
}

/** Give the daemon's command. */
export function holdfastd(): string {
  const command = process.env["HOLDFASTD"];
  assert(command, "HOLDFASTD must name the daemon's command");
  return command;
}

/** Give a short directory that is removed after the test: the path of a unix socket must fit into it. */
export async function temporary(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "hf"));
  context.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** An environment that leads nowhere near the user's own daemon. */
export function environment(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env["PATH"], HOME: home, HOLDFAST_HOME: home };
}

export class Daemon {
  readonly home: string;
  readonly #args: readonly string[];
  #process: ChildProcess | undefined;

  private constructor(home: string, args: readonly string[]) {
    this.home = home;
    this.#args = args;
  }

  /** Start a daemon that is stopped after the test. */
  static async start(context: TestContext, ...args: string[]): Promise<Daemon> {
    const daemon = new Daemon(await mkdtemp(join(tmpdir(), "hf")), args);
    context.after(async () => {
      await daemon.kill();
      await rm(daemon.home, { recursive: true, force: true });
    });
    await daemon.start();
    return daemon;
  }

  get recordPath(): string {
    return `${this.home}/run/daemon-v1.json`;
  }

  async record(): Promise<DiscoveryRecord> {
    return JSON.parse(await readFile(this.recordPath, "utf8")) as DiscoveryRecord;
  }

  /** Start it again, on the same log. */
  async start(): Promise<void> {
    const { home } = this;
    // What the machine has, a sandbox or model servers, changes no test.
    const apart = ["--set", "sandbox.mode=off", "--set", "daemon.default_model=offline/rehearsal"];
    const places = ["--state", `${home}/state`, "--runtime", `${home}/run`, "--ready-fd", "3"];
    const args = [...places, ...apart, ...this.#args];
    const child = spawn(holdfastd(), args, {
      env: environment(home),
      stdio: ["ignore", "inherit", "inherit", "pipe"],
    });
    this.#process = child;
    const ready = child.stdio[3];
    assert(ready);
    await Promise.race([once(ready, "data"), once(child, "exit").then(() => assert.fail("it did not start"))]);
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }
}

/** Connect, and close after the test. */
export async function connected(context: TestContext, options: NodeConnectOptions): Promise<Client> {
  const client = await connect({ backOff: { baseMs: 1, maxMs: 20 }, ...options });
  context.after(() => client.close());
  return client;
}
