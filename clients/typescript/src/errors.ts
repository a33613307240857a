/**
 * What this package rejects with. Compare `kind`, never `message`.
 *
 *     HoldfastError      kind, message
 *       RpcError         the daemon's answer: kinds of the error table, with code and data
 *
 * A plain `HoldfastError` comes from this side of the connection; its kinds are `OwnKind`.
 */
import type { ErrorData, ErrorKind, ErrorObject } from "./protocol.js";

/**
 * - `unreachable`: no daemon answers there, or what answers is none.
 * - `connection_lost`: the connection went before the answer came, and the call must not be made twice:
 *   whether it took effect is unknown.
 * - `request_cancelled`, `overloaded`, `too_large`, `conflict`: as in the error table, but decided here.
 * - `gap`: events are missing from a stream.
 * - `closed`: the client was closed.
 */
export type OwnKind =
  | "unreachable"
  | "connection_lost"
  | "request_cancelled"
  | "overloaded"
  | "too_large"
  | "conflict"
  | "gap"
  | "closed";

/** A newer daemon may know further kinds. */
export type Kind = ErrorKind | OwnKind | (string & {});

/** Anything that went wrong. */
export class HoldfastError extends Error {
  override readonly name: string = "HoldfastError";
  readonly kind: Kind;

  constructor(kind: Kind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }

  /** Whether the same call may succeed later without a change. */
  get retryable(): boolean {
    return this.kind === "connection_lost" || this.kind === "unreachable" || this.kind === "overloaded";
  }
}

/** The daemon refused a call. */
export class RpcError extends HoldfastError {
  override readonly name = "RpcError";
  /** The JSON-RPC code. */
  readonly code: number;
  /** What was wrong, beyond the kind. */
  readonly data: ErrorData;

  constructor(error: ErrorObject) {
    const data = dataOf(error.data);
    super(data.kind, error.message);
    this.code = error.code;
    this.data = data;
  }

  override get retryable(): boolean {
    return this.data.retryable ?? false;
  }
}

/** The outcome of a call, handed over while its answer is being read: before anything that came after it. */
export type Outcome = { ok: true; result: unknown } | { ok: false; error: HoldfastError };

export function failure(kind: OwnKind, message: string): Outcome {
  return { ok: false, error: new HoldfastError(kind, message) };
}

/** Give an error of ours for whatever was thrown. */
export function asUnreachable(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HoldfastError("unreachable", message, { cause: error });
}

function dataOf(data: unknown): ErrorData {
  const kind = typeof data === "object" && data !== null && "kind" in data ? data.kind : undefined;
  return typeof kind === "string" ? { ...(data as ErrorData) } : { kind: "error" };
}
