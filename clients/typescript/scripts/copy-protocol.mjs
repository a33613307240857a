// Puts the protocol's generated types into src/, as a module that is compiled and shipped with the package.
// The copy is made by every build and not committed: it cannot grow stale.
import { readFile, writeFile } from "node:fs/promises";

const generated = new URL("../../../protocol/schema/holdfast.d.ts", import.meta.url);
const copy = new URL("../src/protocol.ts", import.meta.url);

const types = await readFile(generated, "utf8");
if ((await readFile(copy, "utf8").catch(() => "")) !== types) await writeFile(copy, types);
