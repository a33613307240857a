/** Requests that the program answers, and tools that it runs. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { describe, it, type TestContext } from "node:test";
import type { Answers, ClientOptions, protocol, ToolCall, ToolDefinition } from "../src/node/index.js";
import { connected, Daemon } from "./daemon.js";
import { HANG, only, readLog, until } from "./log.js";

/** A prompt whose shell command needs a permission. */
const ASKS = "run echo permitted";

/** An MCP server with one tool, which asks for a colour and gives the answer back. */
const SERVER = `
import { createInterface } from "node:readline";
const requestedSchema = { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] };
const tool = { name: "ask", description: "Asks.", inputSchema: { type: "object", properties: {} } };
const send = (message) => console.log(JSON.stringify({ jsonrpc: "2.0", ...message }));
let called;
const results = {
  "initialize": () => ({
    protocolVersion: "2025-11-25",
    capabilities: { tools: {} },
    serverInfo: { name: "test", version: "1" },
  }),
  "tools/list": () => ({ tools: [tool] }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, result } = JSON.parse(line);
  if (method === "tools/call") {
    called = id;
    send({ id: "ask", method: "elicitation/create", params: { message: "Which colour?", requestedSchema } });
  } else if (id === "ask") {
    send({ id: called, result: { content: [{ type: "text", text: JSON.stringify(result.content) }] } });
  } else if (method in results) {
    send({ id, result: results[method]() });
  } else if (id !== undefined) {
    send({ id, error: { code: -32601, message: "no such method" } });
  }
}
`;

async function begin(context: TestContext, options: ClientOptions = {}) {
  const daemon = await Daemon.start(context);
  await mkdir(`${daemon.home}/cwd`);
  const client = await connected(context, { discover: { record: daemon.recordPath }, ...options });
  const session = await client.createSession({ cwd: `${daemon.home}/cwd` });
  return { daemon, client, session };
}

/** A second client of the same daemon, which answers nothing. */
async function another(context: TestContext, daemon: Daemon, sessionId: string) {
  const client = await connected(context, { discover: { record: daemon.recordPath } });
  return { client, session: client.session(sessionId) };
}

function call(tool: string, input: string): string {
  return `script:\n- call: {tool: ${tool}, input: ${input}}\n- text: done\n`;
}

describe("a request", () => {
  for (const outcome of ["allow", "deny"] as const) {
    it(`is answered by the callback: ${outcome}`, async (context) => {
      const asked: protocol.RequestOpened[] = [];
      const answers: Answers = {
        permission: (request) => {
          asked.push(request);
          return { outcome };
        },
      };
      const { session } = await begin(context, { answers });
      const stream = session.events({ after: "start" });
      await session.prompt(ASKS);
      const events = await until(stream, "run_completed");
      assert.deepEqual(asked, [only(events, "request_opened")]);
      const { outcome: counted, requestId } = only(events, "request_resolved");
      assert.deepEqual([counted, requestId], [outcome, asked[0]?.requestId]);
      assert.equal(events.some((event) => event.type === "tool_call_completed"), outcome === "allow");
    });
  }

  it("of an MCP server is a form, which the callback fills in", async (context) => {
    const asked: protocol.RequestOpened[] = [];
    const answers: Answers = {
      form: (request) => {
        asked.push(request);
        return { outcome: "accept", values: { colour: "green" } };
      },
    };
    const { daemon, client } = await begin(context, { answers });
    await writeFile(`${daemon.home}/server.mjs`, SERVER);
    const session = await client.createSession({
      cwd: `${daemon.home}/cwd`,
      mode: "auto",
      mcpServers: [{ type: "stdio", name: "test", command: process.execPath, args: [`${daemon.home}/server.mjs`] }],
    });
    const stream = session.events({ after: "start" });
    await session.prompt(call("mcp__test__ask", "{}"));
    const events = await until(stream, "run_completed");
    assert.deepEqual(asked, [only(events, "request_opened")]);
    assert.deepEqual(only(events, "request_resolved").values, { colour: "green" });
    const [block] = only(events, "tool_call_completed").result;
    assert.equal(block?.type === "text" && block.text, '{"colour":"green"}');
    const { servers } = await client.call("mcp/list", { sessionId: session.id });
    assert.deepEqual(
      servers.map(({ name, status, starts }) => [name, status, starts]),
      [["test", "running", 1]],
    );
  });

  it("is answered also if the program wants to see other events only", async (context) => {
    const answers: Answers = { permission: () => Promise.resolve({ outcome: "allow", scope: "session" }) };
    const { session } = await begin(context, { answers });
    const stream = session.events({ after: "start", types: ["run_completed"] });
    await session.prompt(ASKS);
    assert.deepEqual((await until(stream, "run_completed")).map((event) => event.type), ["run_completed"]);
  });

  it("that somebody else answered is withdrawn", async (context) => {
    let ask: (value: [string, AbortSignal]) => void = () => {};
    const asked = new Promise<[string, AbortSignal]>((resolve) => (ask = resolve));
    const answers: Answers = {
      permission: ({ requestId }, { signal }) => {
        ask([requestId, signal]);
        return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
      },
    };
    const { daemon, session } = await begin(context, { answers });
    const stream = session.events({ after: "start" });
    await session.prompt(ASKS);
    const [requestId, signal] = await asked;
    const { client } = await another(context, daemon, session.id);
    const answer = { sessionId: session.id, requestId, outcome: "allow" };
    assert.equal((await client.call("request/respond", answer)).accepted, true);
    only(await until(stream, "run_completed"), "request_resolved");
    assert.equal(signal.aborted, true);
  });

  for (const after of ["start", "head", "cursor"] as const) {
    it(`that was open before is answered by a stream from the ${after}`, async (context) => {
      const { daemon, session: asking } = await begin(context);
      const first = asking.events({ after: "start" });
      await asking.prompt(ASKS);
      await until(first, "request_opened");
      let count = 0;
      const answers: Answers = {
        permission: () => {
          count += 1;
          return { outcome: "allow" };
        },
      };
      const client = await connected(context, { discover: { record: daemon.recordPath }, answers });
      const from = after === "cursor" ? (first.cursor ?? 0) : after;
      const session = client.session(asking.id);
      only(await until(session.events({ after: from }), "run_completed"), "request_resolved");
      await until(session.events({ after: "start" }), "run_completed");
      assert.equal(count, 1); // Not again for what the log says was resolved.
    });
  }

  it("waits on if the callback throws, and the program hears of it", async (context) => {
    let report: (error: unknown) => void = () => {};
    const reported = new Promise<unknown>((resolve) => (report = resolve));
    const answers: Answers = {
      permission: () => {
        throw new Error("no dialog");
      },
    };
    const { client, session } = await begin(context, { answers, onError: report });
    const stream = session.events({ after: "start" });
    await session.prompt(ASKS);
    assert.equal(String(await reported), "Error: no dialog");
    const { requests } = await client.call("request/list", { sessionId: session.id });
    assert.equal(requests.length, 1);
    stream.close();
  });
});

describe("a hosted tool", () => {
  const inputSchema = { type: "object", properties: { name: { type: "string" } } };

  function greet(run: ToolDefinition["run"]): ToolDefinition {
    return { description: "Greets.", inputSchema, run };
  }

  async function auto(context: TestContext, options: ClientOptions = {}) {
    const begun = await begin(context, options);
    await begun.client.call("session/update", { sessionId: begun.session.id, mode: "auto" });
    return begun;
  }

  it("is called, shows output and gives its result", async (context) => {
    const { client, session } = await auto(context);
    const inputs: unknown[] = [];
    await session.hostTools({
      greet: greet(async (input, { output }) => {
        inputs.push(input);
        await output("thinking …\n");
        await output("found it\n");
        return "Hello, Ada";
      }),
    });
    const { tools } = await client.call("tool/list", { sessionId: session.id });
    assert.equal(tools.find((tool) => tool.name === "greet")?.hosted, true);
    const stream = session.events({ after: "start" });
    await session.prompt(call("greet", "{name: Ada}"));
    const events = await until(stream, "run_completed");
    assert.deepEqual(inputs, [{ name: "Ada" }]);
    assert.deepEqual(only(events, "tool_call_completed").result, [{ type: "text", text: "Hello, Ada" }]);
    const shown = events.filter((event) => event.type === "tool_output");
    assert.equal(shown.map((event) => event.text).join(""), "thinking …\nfound it\n");
  });

  it("that throws fails the call with its message", async (context) => {
    const { session } = await auto(context);
    await session.hostTools({
      greet: greet(() => {
        throw new Error("nobody is there");
      }),
    });
    const stream = session.events({ after: "start" });
    await session.prompt(call("greet", "{}"));
    const failed = only(await until(stream, "run_completed"), "tool_call_failed");
    assert.match(failed.error.message, /nobody is there/);
  });

  it("whose result is larger than a message fails the call", async (context) => {
    const { client, session } = await auto(context);
    await session.hostTools({ greet: greet(() => "x".repeat(client.welcome.limits.messageBytesMax)) });
    const stream = session.events({ after: "start" });
    await session.prompt(call("greet", "{}"));
    const failed = only(await until(stream, "run_completed"), "tool_call_failed");
    assert.match(failed.error.message, /could not be sent/);
  });

  it("writes much output in order without being waited for", async (context) => {
    const { session } = await auto(context);
    const pieces = Array.from({ length: 40_000 }, (_piece, index) => `${index} 🎉\n`);
    await session.hostTools({
      greet: greet(async (_input, { output }) => {
        for (const piece of pieces) void output(piece);
        return "written";
      }),
    });
    const stream = session.events({ after: "start" });
    await session.prompt(call("greet", "{}"));
    const events = await until(stream, "run_completed");
    const shown = events.filter((event) => event.type === "tool_output");
    assert(shown.map((event) => event.text).join("") === pieces.join(""), "other output than was written");
  });

  it("is told when its call is cancelled", async (context) => {
    const { session } = await auto(context);
    const called = new Promise<ToolCall>((resolve) => {
      void session.hostTools({
        greet: greet((_input, toolCall) => {
          resolve(toolCall);
          return new Promise(() => {});
        }),
      });
    });
    const stream = session.events({ after: "start" });
    await session.prompt(call("greet", "{}"));
    const { signal } = await called;
    const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await session.cancel();
    await aborted;
    await until(stream, "run_cancelled");
  });

  it("is registered again when the daemon is back, and the call of before has failed", async (context) => {
    const { daemon, session } = await auto(context);
    const calls: ToolCall[] = [];
    let called: () => void = () => {};
    const first = new Promise<void>((resolve) => (called = resolve));
    await session.hostTools({
      greet: greet((_input, toolCall) => {
        calls.push(toolCall);
        called();
        return calls.length > 1 ? "Hello again" : new Promise(() => {});
      }),
    });
    const stream = session.events({ after: "start" });
    await session.prompt(call("greet", "{}"));
    await first;
    await daemon.kill();
    await daemon.start();
    const { promptId } = await session.prompt(call("greet", "{}"), { delivery: "interrupt" });
    assert.equal((await session.wait({ promptId })).status, "completed");
    const events = await until(stream, "run_completed");
    assert.equal(calls[0]?.signal.aborted, true);
    assert.equal(only(events, "tool_call_failed").toolCallId, calls[0]?.toolCallId);
    assert.equal(only(events, "tool_call_completed").toolCallId, calls[1]?.toolCallId);
  });

  it("whose name another client took is refused", async (context) => {
    const { daemon, session } = await auto(context);
    await session.hostTools({ greet: greet(() => "mine") });
    const other = await another(context, daemon, session.id);
    await assert.rejects(other.session.hostTools({ greet: greet(() => "theirs") }), {
      name: "RpcError",
      kind: "conflict",
    });
    await session.hostTools({});
    await other.session.hostTools({ greet: greet(() => "theirs") });
    const { promptId } = await other.session.prompt(call("greet", "{}"));
    await other.session.wait({ promptId });
    const completed = only(await readLog(other.client, session.id), "tool_call_completed");
    assert.deepEqual(completed.result, [{ type: "text", text: "theirs" }]);
  });

  it("needs a session that is there", async (context) => {
    const { client } = await begin(context);
    await assert.rejects(client.session("nowhere").hostTools({ greet: greet(() => "") }), { kind: "not_found" });
  });
});

it("an observer may look and not prompt", async (context) => {
  const { client, daemon, session } = await begin(context);
  const { token } = await client.call("token/create", { name: "wall", role: "observer" });
  const { unix } = await daemon.record();
  const observer = await connected(context, { endpoint: { unix }, token });
  assert.equal(observer.welcome.role, "observer");
  const stream = observer.session(session.id).events({ after: "start" });
  await assert.rejects(observer.session(session.id).prompt(HANG), { kind: "forbidden" });
  await until(stream, "session_started");
});
