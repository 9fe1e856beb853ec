import type { Fetch, SocketClass } from "./platform.js";
import type { Storage } from "./storage/memory.js";
import type { Tokens } from "./tokens.js";
import type { Rest } from "./rest.js";
/** What the parts of one client share. */
export interface Core {
    readonly url: string;
    readonly fetch: Fetch;
    readonly WebSocket: SocketClass;
    readonly storage: Storage;
    readonly random: () => number;
    /** Milliseconds since the epoch. */
    readonly now: () => number;
    readonly options: Limits;
    readonly tokens: Tokens;
    readonly rest: Rest["call"];
    readonly userId: number | null;
    readonly username: string | null;
    identify(user: {
        id: number;
        username: string;
    }): void;
    report(code: string, message: string, cause?: unknown): void;
}
export interface Limits {
    /** Messages of a room that wait to be sent, and their bytes. */
    maxQueued: number;
    maxQueuedBytes: number;
    /** Messages of a room in memory. */
    keep: number;
    /** Seconds between two pings, and until the answer. */
    pingInterval: number;
    pongTimeout: number;
    /** Tests of the delivery promise switch these off, and must then fail. */
    resume: boolean;
    resend: boolean;
}
