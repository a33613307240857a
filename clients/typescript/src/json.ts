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
