/** What the compiler must take, and must not; compiled, never run. */
import type { Client, EventStream, Session } from "../src/index.js";

export async function typed(client: Client, session: Session, stream: EventStream): Promise<void> {
  const { sessionId, seq } = await client.call("session/create", { cwd: "/", thinking: "off" });
  const next: number = seq + sessionId.length;
  for await (const event of stream) {
    if (event.type === "token_delta") console.assert(event.text.length > next);
    // @ts-expect-error: an event without narrowing has no text
    event.text;
    // @ts-expect-error: there is no such event
    if (event.type === "token_exploded") return;
  }
  client.on("daemon/state", ({ state }) => console.assert(state !== "serving"));

  // @ts-expect-error: a session needs its directory
  await client.call("session/create", {});
  // @ts-expect-error: a directory is a string
  await client.call("session/create", { cwd: 7 });
  // @ts-expect-error: a misspelt member
  await client.call("session/create", { cwd: "/", titel: "t" });
  // @ts-expect-error: a value that is none of those there are
  await client.call("session/create", { cwd: "/", mode: "yolo" });
  // @ts-expect-error: there is no such method
  await client.call("session/explode", {});
  // @ts-expect-error: belongs to a connection; use `session.events`
  await client.call("session/subscribe", { sessionId });
  // @ts-expect-error: there is no such notification
  client.on("daemon/exploded", () => {});
  // @ts-expect-error: there is no such type of event
  session.events({ types: ["token_exploded"] });
  // @ts-expect-error: the answer has no such member
  (await session.prompt("hello")).promptID;
}
