/** An error with a stable code. Those of the client itself: see README.md, "Errors". */
export class ChatError extends Error {
  override readonly name: string = "ChatError";

  constructor(
    readonly code: string,
    readonly detail: string,
  ) {
    super(detail);
  }
}

/** A refusal by the REST API, or no answer at all: `status` 0, code `network`. */
export class ApiError extends ChatError {
  override readonly name = "ApiError";

  constructor(
    readonly status: number,
    code: string,
    detail: string,
    /** Seconds, from the header `Retry-After`. */
    readonly retryAfter: number | null = null,
    /** The parts of a 422. */
    readonly errors: { loc: unknown[]; msg: string; type: string }[] = [],
  ) {
    super(code, detail);
  }

  /** Whether the same request may succeed later. */
  get temporary(): boolean {
    return this.status >= 500 || [0, 408, 429].includes(this.status);
  }
}

/** Codes of `error` frames after which the same frame may succeed. */
export function isTemporary(code: string): boolean {
  return ["rate_limited", "busy", "internal"].includes(code);
}
