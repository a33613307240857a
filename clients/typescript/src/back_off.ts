/** Waits between attempts: exponential with full jitter, so that a daemon's clients do not all come at once. */

export class BackOff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  #attempts = 0;

  /** The nth wait is random, below `baseMs * 2**n` and below `maxMs`. */
  constructor(baseMs: number, maxMs: number) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
  }

  /** Give the next wait in ms; at least what the daemon asked for. */
  next(leastMs = 0): number {
    const ceiling = Math.min(this.#maxMs, this.#baseMs * 2 ** this.#attempts++);
    return Math.max(leastMs, Math.random() * ceiling);
  }

  /** Begin again with short waits. */
  reset(): void {
    this.#attempts = 0;
  }
}

/** Wait; resolves early if `signal` aborts. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
