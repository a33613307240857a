/** A session's events: where they begin, which they are, when they end. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Client, Session } from "../src/node/index.js";
import { connected, Daemon } from "./daemon.js";
import { assertPrefixOf, HANG, interleaved, only, readLog, until } from "./log.js";

async function begin(context: TestContext): Promise<{ client: Client; session: Session; daemon: Daemon }> {
  const daemon = await Daemon.start(context);
  const client = await connected(context, { discover: { record: daemon.recordPath } });
  return { client, daemon, session: await client.createSession({ cwd: "/" }) };
}

/** A session with one run behind it. */
async function withRun(context: TestContext) {
  const begun = await begin(context);
  const { promptId } = await begun.session.prompt("say one two three");
  await begun.session.wait({ promptId });
  return begun;
}

describe("a stream", () => {
  it("from the head begins with a snapshot and gives what comes after it", async (context) => {
    const { session } = await withRun(context);
    const stream = session.events();
    const { snapshot, head } = await stream.opened;
    assert.equal(snapshot?.runs, 1);
    assert.equal(stream.cursor, head);
    await session.prompt("say more");
    const events = await until(stream, "run_completed");
    assert.equal(events[0]?.seq, head + 1);
    assert.equal(only(events, "prompt_received").seq, head + 1);
  });

  it("goes on from an epoch and a cursor", async (context) => {
    const { client, session } = await withRun(context);
    const log = await readLog(client, session.id);
    const first = session.events({ after: "start" });
    for await (const event of first) if (event.seq === 3) break;
    const { epoch, cursor } = first;
    assert.equal(cursor, 3);
    assert(epoch);
    const second = session.events({ after: cursor, epoch });
    assert.deepEqual(await until(second, "run_completed"), log.slice(3));
  });

  it("fails with another log's epoch or a cursor beyond the head", async (context) => {
    const { session } = await withRun(context);
    for (const options of [{ after: 3, epoch: "another" }, { after: 1_000_000 }]) {
      const stream = session.events(options);
      await assert.rejects(stream.opened, { kind: "cursor_invalid" });
      await assert.rejects(until(stream, "run_completed"), { name: "RpcError", kind: "cursor_invalid" });
    }
  });

  it("fails for a session that is not there", async (context) => {
    const { client } = await begin(context);
    await assert.rejects(until(client.session("nowhere").events(), "run_completed"), { kind: "not_found" });
  });

  it("of some types gives only those, and its cursor covers the others", async (context) => {
    const { session } = await withRun(context);
    let told: (head: number) => void = () => {};
    const caughtUp = new Promise<number>((resolve) => (told = resolve));
    const stream = session.events({
      after: "start",
      types: ["run_started"],
      onNotice: (notice) => notice.type === "caught_up" && told(notice.head),
    });
    const head = await caughtUp;
    stream.close();
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    assert.deepEqual(types, ["run_started"]);
    assert.equal(stream.cursor, head);
  });

  it("without deltas has the whole blocks", async (context) => {
    const { session } = await withRun(context);
    const events = await until(session.events({ after: "start", deltas: "none" }), "run_completed");
    assert(!events.some((event) => event.type === "token_delta"));
    assert(events.some((event) => event.type === "content_block_end" && event.text.includes("one two three")));
  });

  it("is the only one of a session until it is closed", async (context) => {
    const { session } = await begin(context);
    const stream = session.events();
    assert.throws(() => session.events(), { name: "HoldfastError", kind: "conflict" });
    stream.close();
    const second = session.events({ after: "start" });
    for await (const event of second) {
      assert.equal(event.type, "session_started");
      break;
    }
    await assert.rejects(stream.opened, { kind: "closed" });
    session.events().close();
  });

  it("is iterated once", async (context) => {
    const { session } = await begin(context);
    const stream = session.events({ after: "start" });
    for await (const event of stream) {
      assert.equal(event.seq, 1);
      await assert.rejects(stream[Symbol.asyncIterator]().next(), { kind: "conflict" });
      break;
    }
  });

  it("ends with its session", async (context) => {
    const { client, session } = await begin(context);
    const stream = session.events({ after: "start", types: ["session_started"] });
    await stream.opened;
    await client.call("session/delete", { sessionId: session.id });
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    assert.deepEqual(types, ["session_started"]);
  });
});

describe("a program that does not iterate", () => {
  it("keeps a bounded buffer, is forgotten by the daemon, and misses nothing", async (context) => {
    const { client, session } = await begin(context);
    const stream = session.events({ after: "start", bufferCharsMax: 20_000 });
    const { promptId } = await session.prompt(interleaved(5_000, 50_000));
    await session.wait({ promptId });
    const { hub } = await client.call("daemon/status", {});
    assert.equal(hub.subscribers, 0);
    const delivered = hub.delivered;
    const events = await until(stream, "run_completed");
    const log = await readLog(client, session.id);
    assert(delivered < log.length, `${delivered} of ${log.length} events were sent to a client that did not read`);
    assertPrefixOf(events, log);
  });

  it("misses nothing if its connection is lost meanwhile", async (context) => {
    const { client, daemon, session } = await begin(context);
    const stream = session.events({ after: "start", bufferCharsMax: 1_000 });
    await session.prompt(interleaved(2_000, 50_000));
    const { promptId } = await session.prompt("say done");
    await session.wait({ promptId });
    await daemon.kill();
    await daemon.start();
    const events = await until(stream, "run_completed");
    const log = await readLog(client, session.id);
    assertPrefixOf(events, log);
  });
});

describe("cancelling", () => {
  it("a call with a signal ends the call and not the run", async (context) => {
    const { client, session } = await begin(context);
    const { runId } = await session.prompt(HANG);
    const abort = new AbortController();
    const params = { sessionId: session.id, runId: runId ?? "" };
    const waiting = client.call("session/wait", params, { signal: abort.signal });
    await client.call("ping", {}); // The call before it was read by now.
    abort.abort();
    await assert.rejects(waiting, { name: "RpcError", kind: "request_cancelled", code: -32800 });
    const { session: info } = await client.call("session/get", { sessionId: session.id });
    assert.equal(info.status, "running");
  });

  it("a call with an aborted signal is not made", async (context) => {
    const { client, session } = await begin(context);
    const signal = AbortSignal.abort();
    const content = [{ type: "text" as const, text: "say no" }];
    await assert.rejects(client.call("session/prompt", { sessionId: session.id, content }, { signal }), {
      kind: "request_cancelled",
    });
    assert.equal((await readLog(client, session.id)).length, 1);
  });

  it("a session ends the run, and its stream says so", async (context) => {
    const { session } = await begin(context);
    const stream = session.events({ after: "start" });
    const { runId } = await session.prompt(HANG);
    for await (const event of stream) {
      if (event.type === "token_delta") {
        assert.deepEqual(await session.cancel(runId ?? ""), { cancelled: true, runId });
      }
      if (event.type === "run_cancelled") {
        assert.equal(event.runId, runId);
        return;
      }
    }
    assert.fail("the stream ended");
  });
});

describe("a client", () => {
  it("is told of changes of the session list", async (context) => {
    const { client } = await begin(context);
    const created = new Set<unknown>();
    let wake: () => void = () => {};
    const off = client.on("sessions/changed", ({ change, sessionId }) => {
      if (change === "created") created.add(sessionId);
      wake();
    });
    const session = await client.createSession({ cwd: "/" });
    while (!created.has(session.id)) await new Promise<void>((resolve) => (wake = resolve));
    off();
  });

  it("may make more calls at once than the daemon takes", async (context) => {
    const { client, session } = await begin(context);
    const { runId } = await session.prompt(HANG);
    const waits = Array.from({ length: 100 }, () => session.wait({ runId: runId ?? "" }));
    const gets = Array.from({ length: 200 }, () => client.call("session/get", { sessionId: session.id }));
    for (const { session: info } of await Promise.all(gets)) assert.equal(info.sessionId, session.id);
    await session.cancel();
    for (const { status } of await Promise.all(waits)) assert.equal(status, "cancelled");
  });

  it("refuses itself what is too large for the daemon", async (context) => {
    const { client, session } = await begin(context);
    const { messageBytesMax } = client.welcome.limits;
    await assert.rejects(session.prompt("é".repeat(messageBytesMax / 2)), {
      name: "HoldfastError",
      kind: "too_large",
    });
    assert.equal(client.state, "open");
    await client.call("ping", {});
  });

  it("refuses itself what the daemon could not read, and no other call is hurt", async (context) => {
    const { client, session } = await begin(context);
    const meta = (levels: number): unknown => (levels === 0 ? 1 : [meta(levels - 1)]);
    const other = client.call("session/get", { sessionId: session.id });
    await assert.rejects(client.call("session/update", { sessionId: session.id, meta: meta(200) }), {
      kind: "too_large",
    });
    const many = Array.from({ length: 10_000 }, () => 1);
    await assert.rejects(client.call("session/update", { sessionId: session.id, meta: many }), {
      kind: "too_large",
    });
    assert.equal((await other).session.sessionId, session.id);
    await client.call("session/update", { sessionId: session.id, meta: { say: '[[{{",,\\"', deep: meta(100) } });
  });

  it("sends no half characters", async (context) => {
    const { client, session } = await begin(context);
    const { promptId } = await session.prompt(`say ${"🎉".slice(0, 1)} and 🎉`);
    await session.wait({ promptId });
    const { content } = only(await readLog(client, session.id), "prompt_received");
    assert.deepEqual(content, [{ type: "text", text: "say \ufffd and 🎉" }]);
  });
});
