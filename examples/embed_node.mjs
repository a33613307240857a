// Embed holdfast in a Node program without a dependency: a private daemon on stdin and stdout, one JSON object
// per line.
//
//     node examples/embed_node.mjs STATE_DIRECTORY DIRECTORY "PROMPT"

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

const [state, cwd, prompt] = process.argv.slice(2);

const daemon = spawn(process.env.HOLDFAST_DAEMON ?? "holdfastd", ["--stdio", "--state", state], {
  stdio: ["pipe", "pipe", "inherit"],
});
const ended = new Promise((resolve) => {
  daemon.once("error", (error) => resolve(error.message));
  daemon.once("exit", (code, signal) => resolve(`ended with ${code ?? signal}`));
});

// Calls wait for the answer with their id; everything else is a notification.
const waiting = new Map();
let onEvents = () => {};

createInterface({ input: daemon.stdout }).on("line", (line) => {
  const message = JSON.parse(line);
  if (message.method === "session/events") onEvents(message.params);
  if (!("id" in message)) return;
  const { resolve, reject } = waiting.get(message.id);
  waiting.delete(message.id);
  if (message.error) reject(new Error(`${message.error.data?.kind}: ${message.error.message}`));
  else resolve(message.result);
});
ended.then((how) => {
  for (const { reject } of waiting.values()) reject(new Error(`holdfastd ${how}`));
});

let lastId = 0;
function call(method, params) {
  const id = ++lastId;
  daemon.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

// Follow a session from a cursor to the end of a prompt's run.
async function follow(sessionId, promptId, onEvent) {
  let cursor = 0;
  let runId;
  const terminal = new Promise((resolve, reject) => {
    onEvents = ({ from, to, events }) => {
      if (from !== cursor + 1) return reject(new Error(`events ${cursor + 1} to ${from - 1} are missing`));
      cursor = to;
      for (const event of events) {
        if (event.type === "run_started" && event.promptId === promptId) runId = event.runId;
        onEvent(event);
        if (event.runId === runId && /^run_(completed|failed|cancelled|interrupted)$/.test(event.type)) {
          resolve(event);
        }
      }
    };
  });
  await call("session/subscribe", { sessionId, after: "start" });
  return terminal;
}

try {
  const { server } = await call("initialize", {
    protocol: "holdfast",
    versions: [1],
    client: { id: "embed-node", name: "embed_node.mjs", version: "0.1.0" },
    capabilities: {},
  });
  if (!server.version.startsWith("0.1.")) throw new Error(`made for holdfast 0.1, found ${server.version}`);
  const { sessionId } = await call("session/create", { cwd });
  const promptId = crypto.randomUUID(); // The same prompt may be sent again: it will run once.
  const texts = new Set(); // Blocks that are text; others are thoughts and the tools' input.
  const terminal = follow(sessionId, promptId, (event) => {
    if (event.type === "content_block_start" && event.kind === "text") texts.add(event.blockId);
    if (event.type === "token_delta" && texts.has(event.blockId)) process.stdout.write(event.text);
  });
  await call("session/prompt", { sessionId, promptId, content: [{ type: "text", text: prompt }] });
  const { type, usage } = await terminal;
  console.log(`\n${type}, ${usage?.output ?? 0} tokens out, session ${sessionId}`);
  process.exitCode = type === "run_completed" ? 0 : 1;
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  daemon.stdin.end(); // The daemon interrupts what still runs, writes that down, and exits.
  await ended;
}
