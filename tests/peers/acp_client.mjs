// The public TypeScript SDK's client, through a whole conversation. Prints what it found as one JSON object.
//
// Usage: node acp_client.mjs DIRECTORY COMMAND...

import { spawn } from "node:child_process";
import { Readable, Writable } from "node:stream";
import * as acp from "@agentclientprotocol/sdk";

const [directory, command, ...args] = process.argv.slice(2);
const { agent, client } = acp.methods;
const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
const stream = acp.ndJsonStream(Writable.toWeb(child.stdin), Readable.toWeb(child.stdout));

const said = new Map();
const seen = [];
const asked = [];
let onUpdate = () => {};

const app = acp
  .client({ name: "typescript-sdk" })
  .onNotification(client.session.update, ({ params }) => {
    const { sessionId, update } = params;
    seen.push(update.sessionUpdate);
    if (update.sessionUpdate === "agent_message_chunk") {
      said.set(sessionId, (said.get(sessionId) ?? "") + update.content.text);
    }
    onUpdate(update);
  })
  .onRequest(client.session.requestPermission, ({ params }) => {
    asked.push(params.options.map((option) => option.kind));
    const option = params.options.find((one) => one.kind === "allow_once");
    return { outcome: { outcome: "selected", optionId: option.optionId } };
  })
  .onRequest(client.fs.readTextFile, () => ({ content: "# From the buffer\n" }))
  .onRequest(client.fs.writeTextFile, () => ({}));

const text = (words) => [{ type: "text", text: words }];
const chunk = () =>
  new Promise((resolve) => {
    onUpdate = (update) => update.sessionUpdate === "agent_message_chunk" && resolve();
  });

const found = await app.connectWith(stream, async (ctx) => {
  const hello = await ctx.request(agent.initialize, {
    protocolVersion: acp.PROTOCOL_VERSION,
    clientCapabilities: { fs: { readTextFile: true, writeTextFile: true } },
    clientInfo: { name: "typescript-sdk", version: "1" },
  });
  const open = { cwd: directory, mcpServers: [] };
  const first = await ctx.request(agent.session.new, open);
  const second = await ctx.request(agent.session.new, open);
  const sessionId = first.sessionId;
  const prompt = (words, id = sessionId) => ctx.request(agent.session.prompt, { sessionId: id, prompt: text(words) });

  const [one, two] = await Promise.all([prompt("say one"), prompt("say two", second.sessionId)]);
  const tool = await prompt("write made.txt: hello");
  const buffer = await prompt("read README.md");

  const started = chunk();
  const hanging = prompt("script:\n  - text: I wait.\n    hang: true\n");
  await started;
  await ctx.notify(agent.session.cancel, { sessionId });
  const cancelled = await hanging;

  await ctx.request(agent.session.setMode, { sessionId, modeId: "accept_edits" });
  const options = await ctx.request(agent.session.setConfigOption, {
    sessionId,
    configId: "thought_level",
    value: "low",
  });
  const before = seen.length;
  await ctx.request(agent.session.close, { sessionId });
  const loaded = await ctx.request(agent.session.load, { ...open, sessionId });
  const replayed = seen.slice(before);
  await ctx.request(agent.session.close, { sessionId });
  const resumed = await ctx.request(agent.session.resume, { ...open, sessionId });
  const listed = await ctx.request(agent.session.list, { cwd: directory });
  await ctx.request(agent.session.delete, { sessionId: second.sessionId });
  const left = await ctx.request(agent.session.list, {});
  return {
    version: hello.protocolVersion,
    said: [said.get(sessionId), said.get(second.sessionId)],
    stops: [one, two, tool, buffer, cancelled].map((ended) => ended.stopReason),
    asked,
    thinking: options.configOptions.find((option) => option.id === "thought_level").currentValue,
    mode: [loaded.modes.currentModeId, resumed.modes.currentModeId],
    replayed,
    listed: listed.sessions.length,
    left: left.sessions.length,
  };
});
console.log(JSON.stringify(found));
child.stdin.end();
await new Promise((resolve) => child.once("exit", resolve));
