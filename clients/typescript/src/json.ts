/** JSON as the daemon takes it. */

/** What `JSON.stringify` writes for half a surrogate pair, which is no Unicode and would be refused. */
const LONE_SURROGATE = /\\ud[89a-f]/;

/** Encode a value; half characters, as cutting a string leaves them, become U+FFFD. */
export function encodeJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (!LONE_SURROGATE.test(json)) return json;
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === "string" ? wellFormed(member) : member,
  );
}

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Of params: the message around them has one level and four members. */
const DEPTH_MAX = 128 - 1;
const MEMBERS_MAX = 10_000 - 5;

/**
 * Say why the daemon could not read params, if it could not: it would answer without an id, and nobody would know
 * which call it refused.
 */
export function unreadable(json: string): string | undefined {
  let depth = 0;
  let members = 0;
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === '"') at = endOfString(json, at);
    else if (char === "{" || char === "[") {
      if (++depth > DEPTH_MAX) return `Params are at most ${DEPTH_MAX} levels deep.`;
      members++;
    } else if (char === "}" || char === "]") depth--;
    else if (char === ",") members++;
    if (members > MEMBERS_MAX) return `Params have at most ${MEMBERS_MAX} members.`;
  }
  return undefined;
}

function endOfString(json: string, start: number): number {
  let end = json.indexOf('"', start + 1);
  while (isEscaped(json, end)) end = json.indexOf('"', end + 1);
  return end;
}

function isEscaped(json: string, at: number): boolean {
  let slashes = 0;
  while (json[at - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}
