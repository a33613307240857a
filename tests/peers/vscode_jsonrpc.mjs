// A conversation with the daemon, held by stock vscode-jsonrpc: nothing here frames, numbers or parses.
//
//   node vscode_jsonrpc.mjs '{"unix": PATH} | {"tcp": [HOST, PORT]} | {"command": [PROGRAM, …]}' CWD
//
// The token comes in HOLDFAST_TOKEN. Prints one JSON object: what each step was answered with. It judges
// nothing; test_vscode_jsonrpc.py does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import rpc from "vscode-jsonrpc/node";

const CONVERSATION_MS_MAX = 30_000;
const HANG = "script:\n- hang: true\n";

const [endpoint, cwd] = [JSON.parse(process.argv[2]), process.argv[3]];
const token = process.env.HOLDFAST_TOKEN;

/** Open the transport; `closed` resolves when the daemon's end is gone, `release` lets go of ours. */
async function openTransport() {
  if (endpoint.command) {
    const [program, ...args] = endpoint.command;
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    const closed = once(child, "exit").then(([code]) => code);
    return { input: child.stdout, output: child.stdin, closed, release: () => child.stdin.end() };
  }
  const socket = endpoint.unix
    ? connect(endpoint.unix)
    : connect({ host: endpoint.tcp[0], port: endpoint.tcp[1] });
  await once(socket, "connect");
  const closed = once(socket, "close").then(() => "closed");
  return { input: socket, output: socket, closed, release: () => socket.end() };
}

/** Connect, and collect the session's events as they come. */
async function openConnection() {
  const transport = await openTransport();
  const connection = rpc.createMessageConnection(transport.input, transport.output);
  const seen = { batches: [], events: [], waiting: [] };
  connection.onNotification("session/events", (params) => {
    seen.batches.push({ from: params.from, to: params.to, count: params.events.length });
    seen.events.push(...params.events);
    seen.waiting = seen.waiting.filter(({ type, resolve }) => {
      const event = seen.events.find((candidate) => candidate.type === type);
      if (event) resolve(event);
      return !event;
    });
  });
  connection.listen();
  return { ...transport, connection, seen };
}

/** Give the first event of a type, now or when it comes. */
function eventOf(seen, type) {
  const event = seen.events.find((candidate) => candidate.type === type);
  return event ?? new Promise((resolve) => seen.waiting.push({ type, resolve }));
}

function initializeParams(id, withToken) {
  return {
    protocol: "holdfast",
    versions: [1],
    client: { id, name: "vscode-jsonrpc", version: "10.0.0" },
    ...(withToken ? { token: withToken } : {}),
    capabilities: {},
  };
}

/** Give the error a call is answered with; null if it succeeds. */
async function refusal(call) {
  try {
    await call;
    return null;
  } catch (error) {
    return { code: error.code, data: error.data ?? null, isResponseError: error instanceof rpc.ResponseError };
  }
}

/** A whole run: created, subscribed, prompted, notified, waited for. */
async function completedRun({ connection, seen }) {
  const title = "Grüße, 世界 🎉";
  const created = await connection.sendRequest("session/create", { cwd, title });
  const { sessionId } = created;
  const subscribed = await connection.sendRequest("session/subscribe", { sessionId, after: "start" });
  const content = [{ type: "text", text: `Say ${title}` }];
  const prompted = await connection.sendRequest("session/prompt", { sessionId, content });
  const waited = await connection.sendRequest("session/wait", { sessionId, runId: prompted.runId });
  await eventOf(seen, "run_completed");
  const { session } = await connection.sendRequest("session/get", { sessionId });
  return { title, created, subscribed, prompted, waited, session, batches: seen.batches, events: seen.events };
}

/** A call is cancelled, the run it waited for goes on; then the run is cancelled. */
async function cancelledCall({ connection, seen }) {
  const { sessionId } = await connection.sendRequest("session/create", { cwd });
  await connection.sendRequest("session/subscribe", { sessionId, after: "start" });
  const prompted = await connection.sendRequest("session/prompt", {
    sessionId,
    content: [{ type: "text", text: HANG }],
  });
  const source = new rpc.CancellationTokenSource();
  const { runId } = prompted;
  const wait = refusal(connection.sendRequest("session/wait", { sessionId, runId }, source.token));
  await connection.sendRequest("ping", {}); // The call before it was read by now.
  source.cancel();
  const waitRefusal = await wait;
  const { session } = await connection.sendRequest("session/get", { sessionId });
  const cancelled = await connection.sendRequest("session/cancel", { sessionId });
  const terminal = await eventOf(seen, "run_cancelled");
  return { runId, waitRefusal, statusAfterwards: session.status, cancelled, terminal };
}

async function errors({ connection }) {
  return {
    unknownMethod: await refusal(connection.sendRequest("session/explode", {})),
    unknownSession: await refusal(connection.sendRequest("session/get", { sessionId: "nowhere" })),
    badParams: await refusal(connection.sendRequest("session/create", { cwd: 7 })),
    secondInitialize: await refusal(connection.sendRequest("initialize", initializeParams("peer", token))),
    pingAfterwards: await connection.sendRequest("ping"),
  };
}

/** A wrong token, on a connection of its own. */
async function wrongToken() {
  const opened = await openConnection();
  const answer = await refusal(opened.connection.sendRequest("initialize", initializeParams("peer", "wrong")));
  const closed = await opened.closed;
  opened.connection.dispose();
  return { answer, closed };
}

async function converse() {
  const opened = await openConnection();
  const initialized = await opened.connection.sendRequest("initialize", initializeParams("peer", token));
  const completed = await completedRun(opened);
  Object.assign(opened.seen, { batches: [], events: [] }); // The next session's stand alone.
  const cancelled = await cancelledCall(opened);
  const refused = await errors(opened);
  opened.connection.end();
  opened.release();
  const closed = await opened.closed;
  opened.connection.dispose();
  const report = { initialized, completed, cancelled, refused, closed };
  return endpoint.command ? report : { ...report, wrongToken: await wrongToken() };
}

const alarm = setTimeout(() => {
  console.error("The conversation did not end in time.");
  process.exit(1);
}, CONVERSATION_MS_MAX);
console.log(JSON.stringify(await converse()));
clearTimeout(alarm);
