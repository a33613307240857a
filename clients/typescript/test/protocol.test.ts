/** What no sane daemon does often, one by one. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { Client, type ClientOptions } from "../src/index.js";
import { FakeDaemon, type FakeConnection, type Sent, type Serve } from "./fake_daemon.js";

const EPOCH = "e1";

async function open(context: TestContext, daemon: FakeDaemon, options: ClientOptions = {}): Promise<Client> {
  const client = await Client.open(daemon, { backOff: { baseMs: 1, maxMs: 2 }, ...options });
  context.after(() => client.close());
  return client;
}

function subscribed(message: Sent, connection: FakeConnection): void {
  const after = message.params["after"] === "start" ? 0 : Number(message.params["after"]);
  connection.result(message, { epoch: EPOCH, from: after + 1, head: 9, oldest: 1 });
}

function batch(from: number, to: number, epoch = EPOCH): Record<string, unknown> {
  const events = [{ type: "notice", seq: to, at: 0, kind: "k", message: "m" }];
  return { sessionId: "s", epoch, from, to, events };
}

/** Give the seqs of a stream's events until it has given `last`. */
async function seqs(stream: AsyncIterable<{ seq: number }>, last: number): Promise<number[]> {
  const found: number[] = [];
  for await (const { seq } of stream) {
    found.push(seq);
    if (seq === last) break;
  }
  return found;
}

describe("a stream", () => {
  it("takes a batch that comes in one packet with the subscription's answer", async (context) => {
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method !== "session/subscribe") return;
      subscribed(message, connection);
      connection.notify("session/events", batch(1, 3));
    });
    const client = await open(context, daemon);
    const stream = client.session("s").events({ after: "start" });
    assert.deepEqual(await seqs(stream, 3), [3]);
    assert.equal(stream.cursor, 3);
    assert.equal(stream.epoch, EPOCH);
  });

  for (const [what, stray] of [
    ["leaves something out", batch(6, 7)],
    ["says something again", batch(1, 3)],
    ["is of another log", batch(4, 5, "e2")],
  ] as const) {
    it(`asks again from its cursor for a batch that ${what}`, async (context) => {
      let times = 0;
      const daemon = new FakeDaemon((message, connection) => {
        if (message.method !== "session/subscribe") return;
        subscribed(message, connection);
        times += 1;
        if (times === 1) connection.notify("session/events", batch(1, 3));
        connection.notify("session/events", times === 1 ? stray : batch(4, 5));
      });
      const client = await open(context, daemon);
      assert.deepEqual(await seqs(client.session("s").events({ after: "start" }), 5), [3, 5]);
      assert.deepEqual(daemon.params("session/subscribe"), [
        { sessionId: "s", after: "start" },
        { sessionId: "s", after: 3, epoch: EPOCH },
      ]);
    });
  }

  it("ends with an error if the log has a hole that stays", async (context) => {
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method !== "session/subscribe") return;
      subscribed(message, connection);
      connection.notify("session/events", batch(6, 7));
    });
    const client = await open(context, daemon);
    const stream = client.session("s").events({ after: 2 });
    await assert.rejects(seqs(stream, 7), { name: "HoldfastError", kind: "gap" });
    assert.equal(stream.cursor, 2);
    assert.equal(daemon.params("session/subscribe").length, 4);
  });

  it("ends with an error if the daemon leaves events out", async (context) => {
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method !== "session/subscribe") return;
      subscribed(message, connection);
      connection.notify("session/events", batch(1, 3));
      connection.notify("session/gap", { sessionId: "s", epoch: EPOCH, from: 4, to: 8, reason: "skipped" });
    });
    const client = await open(context, daemon);
    const stream = client.session("s").events({ after: "start" });
    await assert.rejects(seqs(stream, 8), { kind: "gap", message: /4 to 8/ });
    assert.equal(stream.cursor, 3); // What had come was given first.
  });

  it("is asked for again after a refusal that will pass", async (context) => {
    let times = 0;
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method !== "session/subscribe") return;
      times += 1;
      if (times < 3) return connection.error(message, -32001, { kind: "overloaded", retryable: true });
      subscribed(message, connection);
      connection.notify("session/events", batch(1, 1));
    });
    const client = await open(context, daemon);
    assert.deepEqual(await seqs(client.session("s").events({ after: "start" }), 1), [1]);
  });

  it("tells that it lags, is caught up and that its session is halted", async (context) => {
    const about = { sessionId: "s", epoch: EPOCH };
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method !== "session/subscribe") return;
      subscribed(message, connection);
      connection.notify("session/lagged", { ...about, cursor: 0, head: 9 });
      connection.notify("session/events", batch(1, 9));
      connection.notify("session/caughtUp", { ...about, head: 9 });
      connection.notify("session/halted", { ...about, kind: "disk" });
    });
    const client = await open(context, daemon);
    const notices: unknown[] = [];
    const onNotice = (notice: unknown) => notices.push(notice);
    assert.deepEqual(await seqs(client.session("s").events({ after: "start", onNotice }), 9), [9]);
    assert.deepEqual(notices, [
      { type: "lagged", head: 9 },
      { type: "caught_up", head: 9 },
      { type: "halted", kind: "disk" },
    ]);
  });
});

/** Drops the connection on a method's first `times` calls, and answers afterwards. */
function dropping(method: string, times: number): Serve {
  let dropped = 0;
  return (message, connection) => {
    if (message.method === method && dropped++ < times) connection.drop();
    else if (message.id !== undefined) connection.result(message, { done: true });
  };
}

describe("a call whose connection is lost", () => {
  it("is sent again as it was, with a key it was given", async (context) => {
    const daemon = new FakeDaemon(dropping("session/create", 2));
    const client = await open(context, daemon);
    const params = { cwd: "/", title: "first" };
    const created = client.call("session/create", params);
    params.title = "changed by the caller since";
    await created;
    const [first, second, third] = daemon.params("session/create");
    assert.match(String(first?.["key"]), /^[0-9a-f]{32}$/);
    assert.equal(first?.["title"], "first");
    assert.deepEqual([second, third], [first, first]);
  });

  it("keeps the caller's own key", async (context) => {
    const daemon = new FakeDaemon(dropping("session/update", 1));
    const client = await open(context, daemon);
    await client.call("session/update", { sessionId: "s", title: "t", key: "mine" });
    assert.deepEqual(daemon.params("session/update").map((params) => params["key"]), ["mine", "mine"]);
  });

  it("is a prompt with one promptId", async (context) => {
    const daemon = new FakeDaemon(dropping("session/prompt", 1));
    const client = await open(context, daemon);
    await client.session("s").prompt("hello");
    const [first, second] = daemon.params("session/prompt");
    assert.match(String(first?.["promptId"]), /^[0-9a-f]{32}$/);
    assert.equal(first?.["key"], undefined);
    assert.deepEqual(second, first);
    await client.session("s").prompt("hello", { promptId: "mine" });
    assert.equal(daemon.params("session/prompt").at(-1)?.["promptId"], "mine");
  });

  it("fails if it has no key and changes something", async (context) => {
    const daemon = new FakeDaemon(dropping("token/create", 1));
    const client = await open(context, daemon);
    const call = client.call("token/create", { name: "n", role: "observer" });
    await assert.rejects(call, { name: "HoldfastError", kind: "connection_lost", retryable: true });
    assert.equal(daemon.params("token/create").length, 1);
  });

  it("is a cancel only if it says of what", async (context) => {
    const daemon = new FakeDaemon(dropping("session/cancel", 2));
    const client = await open(context, daemon);
    await assert.rejects(client.session("s").cancel(), { kind: "connection_lost" });
    await client.session("s").cancel("r1");
    assert.deepEqual(daemon.params("session/cancel"), [
      { sessionId: "s" },
      { sessionId: "s", runId: "r1" },
      { sessionId: "s", runId: "r1" },
    ]);
  });

  it("is given up if it may be what the daemon dies of", async (context) => {
    const daemon = new FakeDaemon(dropping("session/get", Infinity));
    const client = await open(context, daemon);
    await assert.rejects(client.call("session/get", { sessionId: "s" }), { kind: "connection_lost" });
    assert.equal(daemon.params("session/get").length, 10);
  });

  it("is cancelled at once if it waits for a connection", async (context) => {
    const daemon = new FakeDaemon(dropping("ping", 1));
    let lost: () => void = () => {};
    const isLost = new Promise<void>((resolve) => (lost = resolve));
    const client = await open(context, daemon, {
      backOff: { baseMs: 3_600_000, maxMs: 3_600_000 },
      onState: (state) => state === "connecting" && lost(),
    });
    const abort = new AbortController();
    const call = client.call("ping", {}, { signal: abort.signal });
    await isLost;
    abort.abort();
    await assert.rejects(call, { kind: "request_cancelled" });
    assert.equal(daemon.connections.length, 1);
  });
});

describe("a connection", () => {
  it("is replaced if the daemon is silent", async (context) => {
    let answersPings = false;
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method !== "ping" || answersPings) connection.result(message, {});
    });
    await new Promise<void>((resolve) => {
      const onState = (state: string) => {
        if (state === "connecting") answersPings = true;
        else if (answersPings) resolve();
      };
      void open(context, daemon, { pingIntervalMs: 5, onState });
    });
    assert.deepEqual(daemon.connections.map(({ sent }) => sent[0]?.method), ["initialize", "initialize"]);
    assert.equal(daemon.connections[0]?.params("ping").length, 1);
  });

  for (const nonsense of ["no JSON", "3", "null"]) {
    it(`is replaced if the daemon says ${nonsense}`, async (context) => {
      let times = 0;
      const daemon = new FakeDaemon((message, connection) => {
        times += 1;
        if (times === 1) connection.raw(nonsense);
        else connection.result(message, {});
      });
      const client = await open(context, daemon);
      await client.call("ping", {});
      assert.equal(daemon.connections.length, 2);
    });
  }

  it("fails the calls under way if the daemon could not read one's id", async (context) => {
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method === "ping") return connection.result(message, {});
      connection.say({ id: null, error: { code: -32700, message: "Too deep.", data: { kind: "parse_error" } } });
    });
    const client = await open(context, daemon);
    await assert.rejects(client.call("session/get", { sessionId: "s" }), { name: "RpcError", kind: "parse_error" });
    await client.call("ping", {});
    assert.equal(daemon.connections.length, 1);
  });

  it("ignores answers nobody waits for and methods nobody knows", async (context) => {
    const daemon = new FakeDaemon((message, connection) => {
      connection.say({ id: 999, result: {} });
      connection.say({ id: "x", result: {} });
      connection.notify("session/exploded", { sessionId: "s" });
      connection.say({ id: 1, method: "do/this", params: {} });
      connection.result(message, {});
      connection.result(message, { again: true });
    });
    const client = await open(context, daemon);
    assert.deepEqual(await client.call("ping", {}), {});
  });

  it("that is refused twice ends the client", async (context) => {
    const daemon = new FakeDaemon((message, connection) => {
      if (message.method === "ping") connection.drop();
    });
    let end: () => void = () => {};
    const ended = new Promise<void>((resolve) => (end = resolve));
    const client = await open(context, daemon, { onState: (state) => state === "closed" && end() });
    daemon.greet = (message, connection) => connection.error(message, -32000, { kind: "auth_required" });
    await assert.rejects(client.call("ping", {}), { name: "RpcError", kind: "auth_required" });
    await ended;
    assert.equal(daemon.connections.length, 3);
  });

  it("that is lost in the handshake was not made", async () => {
    const daemon = new FakeDaemon(() => {});
    daemon.greet = (_message, connection) => connection.drop("gone");
    await assert.rejects(Client.open(daemon, {}), { kind: "unreachable", message: "gone" });
  });

  it("is replaced without a callback's mistake doing harm", async (context) => {
    const errors: unknown[] = [];
    const daemon = new FakeDaemon(dropping("ping", 1));
    const client = await open(context, daemon, {
      onError: (error) => errors.push(error),
      onState: (state) => {
        throw new Error(state);
      },
    });
    await client.call("ping", {});
    assert.deepEqual(errors.map(String), ["Error: open", "Error: connecting", "Error: open"]);
  });
});

it("a request that is resolved while older ones are listed is not asked", async (context) => {
  const event = { seq: 6, at: 0, requestId: "q" };
  const request = { ...event, type: "request_opened", kind: "permission", title: "", detail: null, options: [] };
  const resolved = { ...event, seq: 7, type: "request_resolved", outcome: "deny", by: "another" };
  const about = { sessionId: "s", epoch: EPOCH };
  const daemon = new FakeDaemon((message, connection) => {
    if (message.method === "session/subscribe") return subscribed(message, connection);
    if (message.method !== "request/list") return connection.result(message, {});
    connection.notify("session/events", { ...about, from: 7, to: 7, events: [resolved] });
    connection.notify("session/caughtUp", { ...about, head: 7 });
    const other = { ...request, requestId: "r" };
    connection.result(message, { requests: [request, other].map((open) => ({ sessionId: "s", request: open })) });
  });
  const asked: string[] = [];
  const permission = ({ requestId }: { requestId: string }) => {
    asked.push(requestId);
    return { outcome: "allow" };
  };
  const client = await open(context, daemon, { answers: { permission } });
  assert.deepEqual(await seqs(client.session("s").events({ after: 6 }), 7), [7]);
  await client.call("ping", {});
  assert.deepEqual(asked, ["r"]);
});

it("hosted tools are registered again as soon as the daemon lets go of our dead connection's", async (context) => {
  let count = 0;
  let finish: () => void = () => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const daemon = new FakeDaemon((message, connection) => {
    count += 1;
    if (count === 2) return connection.error(message, -32006, { kind: "conflict" });
    connection.result(message, { registered: 1 });
    if (count === 3) finish();
  });
  const client = await open(context, daemon, { onError: (error) => assert.fail(String(error)) });
  await client.session("s").hostTools({ t: { description: "", inputSchema: {}, run: () => "" } });
  daemon.connections[0]?.drop();
  await finished;
  assert.equal(daemon.connections.length, 2);
});
