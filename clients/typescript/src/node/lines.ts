/** JSON texts over a pair of byte streams, one per line: sockets, and a child's stdin and stdout. */
import type { Readable, Writable } from "node:stream";
import type { Receiver, Transport } from "../transport.js";

/** Far beyond any answer of a sane daemon; bounds what a mad one can make us hold. */
const LINE_CHARS_MAX = 64 * 1024 * 1024;

export interface LinesOptions {
  input: Readable;
  output: Writable;
  /** Ends both; `ended` follows. */
  close(): void;
  /** Resolves with the reason when everything is over. */
  ended: Promise<string>;
}

export class LinesTransport implements Transport {
  readonly #options: LinesOptions;
  #open = true;
  #rest: string[] = []; // The pieces of a line whose end has not come.
  #restChars = 0;

  constructor(options: LinesOptions) {
    this.#options = options;
  }

  start(receiver: Receiver): void {
    const { input, output, ended } = this.#options;
    input.setEncoding("utf8");
    input.on("data", (chunk: string) => this.#receive(chunk, receiver));
    output.on("error", () => this.close()); // Such as EPIPE; the other side is gone.
    void ended.then((reason) => {
      this.#open = false;
      receiver.closed(reason);
    });
  }

  send(text: string): void {
    if (this.#open) this.#options.output.write(`${text}\n`);
  }

  close(): void {
    this.#open = false;
    this.#options.close();
  }

  #receive(chunk: string, receiver: Receiver): void {
    let start = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      const line = this.#rest.join("") + chunk.slice(start, end);
      this.#rest = [];
      this.#restChars = 0;
      start = end + 1;
      if (!this.#open) return;
      if (line) receiver.received(line);
    }
    this.#rest.push(chunk.slice(start));
    this.#restChars += chunk.length - start;
    if (this.#restChars > LINE_CHARS_MAX) this.close();
  }
}
