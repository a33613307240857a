// Makes a session with our client, has prompts answered in it one by one, and shows the answers as they come.
import { connect } from "/client/index.js";

const ENDS = new Set(["run_completed", "run_failed", "run_cancelled", "run_interrupted"]);

const { url, token, cwd, prompts } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const main = document.querySelector("main");
const paragraphs = new Map(); // By block id.
const states = [];
const events = [];
let streaming; // Whether the test was told that an answer begins.

function post(path, body) {
  return fetch(path, { method: "POST", body: JSON.stringify(body) });
}

function show({ type, blockId, text }) {
  if (type === "content_block_start") {
    paragraphs.set(blockId, main.appendChild(document.createElement("p")));
  } else if (type === "token_delta") {
    paragraphs.get(blockId).append(text);
  }
}

async function converse() {
  const onState = (state) => states.push(state);
  const client = await connect({ url, token, onState, backOff: { baseMs: 1, maxMs: 200 } });
  const session = await client.createSession({ cwd });
  const stream = session.events({ after: "start" });
  await session.prompt(prompts.shift());
  for await (const event of stream) {
    events.push(event);
    show(event);
    if (event.type === "token_delta" && !streaming) streaming = await post("/streaming", events.length);
    if (!ENDS.has(event.type)) continue;
    if (prompts.length === 0) break;
    await session.prompt(prompts.shift());
  }
  const outcome = { sessionId: session.id, states: [...states], events, text: main.innerText };
  await client.close();
  return outcome;
}

converse().then(
  (outcome) => post("/outcome", outcome),
  (error) => post("/outcome", { error: String(error), kind: error.kind, states, text: main.innerText }),
);
