/**
 * A program that follows a session from a cursor and prints what it gets, to be killed while it does.
 *
 *     node reader.js RECORD SESSION CURSOR EPOCH
 *
 * It prints a line for each event, as JSON: what was printed is what it got.
 */
import { writeSync } from "node:fs";
import { connect } from "../src/node/index.js";

const [record, sessionId, after, epoch] = process.argv.slice(2);
if (record && sessionId && after && epoch) {
  const client = await connect({ discover: { record } });
  const stream = client.session(sessionId).events({ after: Number(after), epoch });
  for await (const event of stream) writeSync(1, `${JSON.stringify(event)}\n`);
}
