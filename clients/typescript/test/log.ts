/** What the tests compare a stream with: the session's log. */
import assert from "node:assert/strict";
import type { Client, EventStream, EventType, protocol } from "../src/node/index.js";

type Event = protocol.Event;

/** A prompt whose deltas the log cannot merge: each is an event. */
export function interleaved(count: number, perSecond: number): string {
  return `script:\n- interleave: {blocks: 4, count: ${count}, per_second: ${perSecond}, text: "tick "}\n`;
}

/** A prompt that runs until it is cancelled. */
export const HANG = "script:\n- text: I wait.\n  hang: true\n";

/** Iterate to the first event of a type, and give everything up to it. The stream is closed then. */
export async function until(stream: EventStream, type: EventType): Promise<Event[]> {
  const events: Event[] = [];
  for await (const event of stream) {
    events.push(event);
    if (event.type === type) return events;
  }
  return assert.fail(`the stream ended before ${type}`);
}

/** Give the event of a type, of which there is one. */
export function only<T extends EventType>(events: readonly Event[], type: T): Extract<Event, { type: T }> {
  const found = events.filter((event) => event.type === type);
  assert.equal(found.length, 1, `${found.length} events of type ${type}`);
  return found[0] as Extract<Event, { type: T }>;
}

/** Read a session's log, from its beginning to its head. */
export async function readLog(client: Client, sessionId: string): Promise<Event[]> {
  const events: Event[] = [];
  for (let after = 0, more = true; more; ) {
    const page = await client.call("session/read", { sessionId, after, limit: 1000 });
    events.push(...page.events);
    ({ to: after, more } = page);
  }
  return events;
}

/** Check that a stream gave a log from its beginning, each event once. */
export function assertPrefixOf(events: readonly Event[], log: readonly Event[]): void {
  assert.deepEqual(
    events.map((event) => event.seq),
    Array.from(events, (_event, index) => index + 1),
  );
  assert.deepEqual(events, log.slice(0, events.length));
}
