/** Every way to a daemon, and every way not to reach one. */
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { describe, it, type TestContext } from "node:test";
import { WebSocket } from "ws";
import { connect as connectAnywhere } from "../src/index.js";
import { connect, HoldfastError, type NodeConnectOptions, recordPath } from "../src/node/index.js";
import { connected, Daemon, environment, holdfastd, temporary } from "./daemon.js";
import { assertPrefixOf, only, readLog, until } from "./log.js";

type Way = (context: TestContext) => Promise<NodeConnectOptions>;

const WAYS: Record<string, Way> = {
  "a unix socket": async (context) => {
    const { unix, token } = await (await Daemon.start(context)).record();
    return { endpoint: { unix }, token };
  },
  "TCP": async (context) => {
    const { tcp, token } = await (await Daemon.start(context, "--tcp")).record();
    return { endpoint: { host: tcp[0], port: tcp[1] }, token };
  },
  "a WebSocket": async (context) => {
    const { ws, token } = await (await Daemon.start(context, "--ws")).record();
    return { url: `ws://${ws[0]}:${ws[1]}/`, token, WebSocket };
  },
  "a child's stdio": async (context) => {
    const home = await temporary(context);
    return { spawn: { command: holdfastd(), state: `${home}/state`, env: environment(home) } };
  },
  "its discovery record": async (context) => {
    const daemon = await Daemon.start(context);
    return { discover: { record: daemon.recordPath } };
  },
};

for (const [name, way] of Object.entries(WAYS)) {
  describe(`over ${name}`, () => {
    it("a prompt's run is followed to its end", async (context) => {
      const client = await connected(context, await way(context));
      assert.equal(client.welcome.role, "controller");
      const session = await client.createSession({ cwd: "/", title: "Grüße, 世界 🎉" });
      const stream = session.events({ after: "start" });
      const { promptId, runId, status } = await session.prompt("say Grüße, 世界 🎉");
      assert.equal(status, "started");
      const events = await until(stream, "run_completed");
      assert.equal(only(events, "prompt_received").promptId, promptId);
      assert.equal(only(events, "run_completed").runId, runId);
      assert.equal(only(events, "session_started").title, "Grüße, 世界 🎉");
      assert(events.some((event) => event.type === "content_block_end" && event.text.includes("世界 🎉")));
      assertPrefixOf(events, await readLog(client, session.id));
      assert.equal((await session.wait({ promptId })).status, "completed");
    });

    it("an error has the kind and data of the error table", async (context) => {
      const client = await connected(context, await way(context));
      await assert.rejects(client.call("session/get", { sessionId: "nowhere" }), {
        name: "RpcError",
        kind: "not_found",
        code: -32002,
        retryable: false,
      });
      await assert.rejects(client.call("session/create", { cwd: 7 as never }), {
        kind: "invalid_params",
        data: { kind: "invalid_params", path: "$.cwd" },
      });
    });
  });
}

describe("connecting", () => {
  it("is refused with a wrong token", async (context) => {
    const { unix } = await (await Daemon.start(context)).record();
    await assert.rejects(connect({ endpoint: { unix }, token: "wrong" }), {
      name: "RpcError",
      kind: "auth_required",
    });
  });

  it("is refused by a WebSocket's upgrade with a wrong token", async (context) => {
    const { ws } = await (await Daemon.start(context, "--ws")).record();
    const url = `ws://${ws[0]}:${ws[1]}/`;
    await assert.rejects(connect({ url, token: "wrong", WebSocket }), { kind: "unreachable", message: /401/ });
  });

  it("says that nobody is there", async (context) => {
    const home = await temporary(context);
    await assert.rejects(connect({ discover: { record: `${home}/daemon-v1.json` } }), {
      kind: "unreachable",
      message: /No daemon is running/,
    });
    await assert.rejects(connect({ endpoint: { unix: `${home}/no.sock` }, token: "" }), { kind: "unreachable" });
  });

  it("says what a child that cannot start said", async (context) => {
    const home = await temporary(context);
    const spawn = { command: holdfastd(), state: `${home}/state`, env: environment(home) };
    await connected(context, { spawn });
    await assert.rejects(connect({ spawn }), { kind: "unreachable", message: /ended with 75.+state/s });
    await assert.rejects(connect({ spawn: { ...spawn, command: `${home}/none` } }), {
      kind: "unreachable",
      message: /ENOENT/,
    });
  });

  it("does not believe a record that others can read", async (context) => {
    const record = `${await temporary(context)}/daemon-v1.json`;
    await writeFile(record, JSON.stringify({ token: "t", unix: "/nowhere" }));
    await chmod(record, 0o644);
    await assert.rejects(connect({ discover: { record } }), { kind: "unreachable", message: /only you can read/ });
  });

  for (const content of ["{}", "[]", '{"token": "t"}', '{"token": "t", "tcp": ["127.0.0.1"]}', "no JSON"]) {
    it(`does not believe a record that says ${content}`, async (context) => {
      const record = `${await temporary(context)}/daemon-v1.json`;
      await writeFile(record, content, { mode: 0o600 });
      await assert.rejects(connect({ discover: { record } }), { name: "HoldfastError", kind: "unreachable" });
    });
  }

  it("sends no token in the clear to another machine", async () => {
    const refused = { kind: "unreachable", message: /in the clear/ };
    await assert.rejects(connect({ endpoint: { host: "192.0.2.1", port: 1 }, token: "t" }), refused);
    await assert.rejects(connect({ url: "ws://192.0.2.1:1/", token: "t", WebSocket }), refused);
  });

  it("needs a WebSocket where there is none", { skip: "WebSocket" in globalThis }, async () => {
    await assert.rejects(connect({ url: "ws://127.0.0.1:1/", token: "t" }), {
      kind: "unreachable",
      message: /no WebSocket here/,
    });
  });
});

describe("without Node", () => {
  it("the global WebSocket is used", async (context) => {
    const { ws, token } = await (await Daemon.start(context, "--ws")).record();
    const { WebSocket: before } = globalThis;
    context.after(() => void Object.assign(globalThis, { WebSocket: before }));
    Object.assign(globalThis, { WebSocket });
    const client = await connectAnywhere({ url: `ws://${ws[0]}:${ws[1]}/`, token });
    const session = await client.createSession({ cwd: "/" });
    const stream = session.events({ after: "start" });
    await session.prompt("say hello");
    assertPrefixOf(await until(stream, "run_completed"), await readLog(client, session.id));
    await client.close();
  });

  it("a connection ends although the other side does not say goodbye", async () => {
    class Silent {
      onopen: (() => void) | null = null;
      onmessage: ((event: { data: string }) => void) | null = null;
      onclose = null;
      onerror = null;

      constructor() {
        queueMicrotask(() => this.onopen?.());
      }

      send(text: string): void {
        const { id } = JSON.parse(text) as { id: number };
        const result = { limits: {}, server: {} };
        queueMicrotask(() => this.onmessage?.({ data: JSON.stringify({ jsonrpc: "2.0", id, result }) }));
      }

      close(): void {}
    }
    const client = await connectAnywhere({ url: "ws://127.0.0.1:1/", token: "t", WebSocket: Silent });
    await client.close();
    assert.equal(client.state, "closed");
  });

  it("nothing of Node is loaded", async () => {
    const seen = new Set<string>();
    const load = async (module: URL): Promise<void> => {
      if (seen.has(module.href)) return;
      seen.add(module.href);
      const source = await readFile(module, "utf8");
      for (const [, name = ""] of source.matchAll(/(?:from|import)\s*\(?"([^"]+)"/g)) {
        assert.match(name, /^\.\.?\//, `${module.pathname} imports ${name}`);
        await load(new URL(name, module));
      }
    };
    await load(new URL("../src/index.js", import.meta.url));
    assert(seen.size > 10);
  });
});

describe("closing", () => {
  it("ends streams, waiting calls and a spawned daemon", async (context) => {
    const home = await temporary(context);
    const spawn = { command: holdfastd(), state: `${home}/state`, env: environment(home) };
    const client = await connect({ spawn });
    const { pid } = client.welcome.server;
    const session = await client.createSession({ cwd: "/" });
    const stream = session.events({ after: "start" });
    const { promptId } = await session.prompt("script:\n- hang: true\n");
    const waiting = assert.rejects(session.wait({ promptId }), { kind: "closed" });
    await client.close();
    await waiting;
    for await (const event of stream) assert(event.seq > 0); // It ends.
    await assert.rejects(client.call("ping", {}), { kind: "closed" });
    assert.throws(() => session.events(), { kind: "closed" });
    assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
    assert.equal(client.state, "closed");
  });
});

describe("the discovery record", () => {
  const cases: [NodeJS.ProcessEnv, string, string][] = [
    [{ HOLDFAST_HOME: "/h", XDG_RUNTIME_DIR: "/x" }, "linux", "/h/run/daemon-v1.json"],
    [{ XDG_RUNTIME_DIR: "/x", XDG_STATE_HOME: "/s" }, "linux", "/x/holdfast/daemon-v1.json"],
    [{ XDG_RUNTIME_DIR: "x", XDG_STATE_HOME: "/s" }, "linux", "/s/holdfast/run/daemon-v1.json"],
    [{}, "linux", "/home/me/.local/state/holdfast/run/daemon-v1.json"],
    [{}, "darwin", "/home/me/Library/Application Support/holdfast/run/daemon-v1.json"],
  ];
  for (const [environ, platform, expected] of cases) {
    it(`lies at ${expected}`, () => assert.equal(recordPath(environ, "/home/me", platform), expected));
  }
});

it("errors of this side are retryable if a second attempt may go better", () => {
  assert.equal(new HoldfastError("unreachable", "").retryable, true);
  assert.equal(new HoldfastError("gap", "").retryable, false);
});
