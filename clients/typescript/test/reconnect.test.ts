/** Connections and daemons die in mid-stream; a program that follows a session does not notice. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { protocol, State } from "../src/node/index.js";
import { connected, Daemon, environment, holdfastd, temporary } from "./daemon.js";
import { CuttingProxy } from "./cutting_proxy.js";
import { Program } from "./program.js";
import { assertPrefixOf, HANG, interleaved, only, readLog, until } from "./log.js";

const CUTS = { count: 100, bytesMin: 1_000, bytesMax: 40_000 };
const KILLS = 100;

it("100 cut connections in one run lose no event and give none twice", async (context) => {
  const daemon = await Daemon.start(context);
  const { unix, token } = await daemon.record();
  const proxy = await CuttingProxy.start(context, `${daemon.home}/cut.sock`, unix, CUTS);
  const client = await connected(context, { endpoint: { unix: proxy.path }, token });
  const session = await client.createSession({ cwd: "/" });
  const stream = session.events({ after: "start" });
  const { promptId } = await session.prompt(interleaved(40_000, 20_000));
  const waiting = session.wait({ promptId });
  const events = await until(stream, "run_completed");
  assert.equal(proxy.cuts, CUTS.count);
  assert.equal((await waiting).status, "completed");
  assertPrefixOf(events, await readLog(client, session.id));
  assert.equal(events.filter((event) => event.type === "token_delta").length, 40_000);
});

it("a program that is killed 100 times in one run and goes on from its cursor gets each event once", async (context) => {
  const daemon = await Daemon.start(context);
  const client = await connected(context, { discover: { record: daemon.recordPath } });
  const { sessionId, epoch } = await client.call("session/create", { cwd: "/" });
  const session = client.session(sessionId);
  const { runId } = await session.prompt(interleaved(10_000_000, 1_000));
  const events: protocol.Event[] = [];
  /** Let the program live to so many events from the last one it got before, and kill it. */
  const live = async (enough: (event: protocol.Event) => boolean) => {
    const cursor = events.at(-1)?.seq ?? 0;
    const program = new Program("reader.js", daemon.recordPath, sessionId, String(cursor), epoch);
    for await (const line of program.lines) {
      events.push(JSON.parse(line) as protocol.Event);
      if (enough(events.at(-1)!)) program.kill(); // What it printed before it is dead still comes.
    }
    assert.equal(await program.ended, "SIGKILL");
  };
  for (let kill = 0; kill < KILLS; kill += 1) {
    const goal = (events.at(-1)?.seq ?? 0) + 1 + ((kill * 37) % 60);
    await live((event) => event.seq >= goal);
  }
  const { snapshot } = await client.call("session/get", { sessionId });
  assert.equal(snapshot.run?.runId, runId); // It is still the same one.
  await session.cancel();
  await live((event) => event.type === "run_cancelled");
  assert.deepEqual(events, await readLog(client, sessionId));
  assertPrefixOf(events, events);
});

it("mutations whose connections are cut happen once", async (context) => {
  const daemon = await Daemon.start(context);
  const { unix, token } = await daemon.record();
  const cuts = { count: 50, bytesMin: 1_000, bytesMax: 2_500 };
  const proxy = await CuttingProxy.start(context, `${daemon.home}/cut.sock`, unix, cuts);
  const client = await connected(context, { endpoint: { unix: proxy.path }, token });
  const session = await client.createSession({ cwd: "/" });
  const prompted = [(await session.prompt(HANG)).promptId];
  const titles: string[] = [];
  for (let index = 0; proxy.cuts < cuts.count; index += 1) {
    const title = `title ${index}`;
    const [{ promptId }] = await Promise.all([
      session.prompt("say done"),
      client.call("session/update", { sessionId: session.id, title }),
    ]);
    prompted.push(promptId);
    titles.push(title);
    await client.call("queue/remove", { sessionId: session.id, promptId });
  }
  const log = await readLog(client, session.id);
  const received = log.filter((event) => event.type === "prompt_received");
  assert.deepEqual(received.map((event) => event.promptId), prompted);
  const updated = log.filter((event) => event.type === "session_updated");
  assert.deepEqual(updated.map((event) => event.title), titles);
  const removed = log.filter((event) => event.type === "prompt_removed");
  assert.deepEqual(removed.map((event) => event.promptId), prompted.slice(1));
});

it("a daemon that is killed in mid-stream and started again is followed on", async (context) => {
  const daemon = await Daemon.start(context);
  const states: State[] = [];
  const onState = (state: State) => states.push(state);
  const client = await connected(context, { discover: { record: daemon.recordPath }, onState });
  const { instanceId } = client.welcome.server;
  const session = await client.createSession({ cwd: "/" });
  const stream = session.events({ after: "start" });
  await session.prompt(interleaved(1_000_000, 5_000));

  const events: protocol.Event[] = [];
  for await (const event of stream) {
    events.push(event);
    if (events.length === 2_000) {
      await daemon.kill();
      await daemon.start();
    }
    if (event.type === "run_interrupted") break;
  }
  assertPrefixOf(events, await readLog(client, session.id));
  assert.equal(only(events, "run_interrupted").runId, only(events, "run_started").runId);
  assert.notEqual(client.welcome.server.instanceId, instanceId);
  assert.deepEqual(states.slice(0, 3), ["open", "connecting", "open"]);
});

it("a child that is killed is started again on the same log", async (context) => {
  const home = await temporary(context);
  const spawn = { command: holdfastd(), state: `${home}/state`, env: environment(home) };
  const client = await connected(context, { spawn });
  const session = await client.createSession({ cwd: "/" });
  const stream = session.events({ after: "start" });
  await session.prompt(HANG);
  process.kill(client.welcome.server.pid, "SIGKILL");
  const events = await until(stream, "run_interrupted");
  assertPrefixOf(events, await readLog(client, session.id));
});

it("a call that is made while the daemon is away is answered when it is back", async (context) => {
  const daemon = await Daemon.start(context);
  let away: () => void = () => {};
  const lost = new Promise<void>((resolve) => (away = resolve));
  const onState = (state: State) => state === "connecting" && away();
  const client = await connected(context, { discover: { record: daemon.recordPath }, onState });
  const session = await client.createSession({ cwd: "/" });
  await daemon.kill();
  await lost;
  assert.equal(client.state, "connecting");
  const prompted = session.prompt("say hello");
  await daemon.start();
  const { promptId } = await prompted;
  assert.equal((await session.wait({ promptId })).status, "completed");
});

it("a client that gives up says why", async (context) => {
  const daemon = await Daemon.start(context);
  const record = daemon.recordPath;
  const client = await connected(context, { discover: { record }, giveUpAfterMs: 1 });
  const session = await client.createSession({ cwd: "/" });
  const stream = session.events({ after: "start" });
  const reading = assert.rejects(until(stream, "session_ended"), { kind: "unreachable" });
  await daemon.kill();
  await reading;
  assert.equal(client.state, "closed");
  await assert.rejects(client.call("ping", {}), { kind: "unreachable" });
});
