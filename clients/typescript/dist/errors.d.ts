/** An error with a stable code. Those of the client itself: see README.md, "Errors". */
export declare class ChatError extends Error {
    readonly code: string;
    readonly detail: string;
    readonly name: string;
    constructor(code: string, detail: string);
}
/** A refusal by the REST API, or no answer at all: `status` 0, code `network`. */
export declare class ApiError extends ChatError {
    readonly status: number;
    /** Seconds, from the header `Retry-After`. */
    readonly retryAfter: number | null;
    /** The parts of a 422. */
    readonly errors: {
        loc: unknown[];
        msg: string;
        type: string;
    }[];
    readonly name = "ApiError";
    constructor(status: number, code: string, detail: string, 
    /** Seconds, from the header `Retry-After`. */
    retryAfter?: number | null, 
    /** The parts of a 422. */
    errors?: {
        loc: unknown[];
        msg: string;
        type: string;
    }[]);
    /** Whether the same request may succeed later. */
    get temporary(): boolean;
}
/** Codes of `error` frames after which the same frame may succeed. */
export declare function isTemporary(code: string): boolean;
