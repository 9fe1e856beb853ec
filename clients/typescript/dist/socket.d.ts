import type { Core } from "./core.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
export interface FrameEvent {
    direction: "in" | "out";
    /** null for a text that is no frame. */
    frame: ServerFrame | ClientFrame | null;
    /** The text; a token in it is replaced by `…`. */
    raw: string;
    /** Milliseconds since the epoch. */
    at: number;
}
export interface SocketOwner {
    received(frame: ServerFrame): void;
    closed(code: number, reason: string): void;
    frame(event: FrameEvent): void;
}
/** One WebSocket, from opening to closing. */
export interface Socket {
    /** The token that it is signed in with. */
    readonly access: string;
    /** Returns whether the frame was handed to the network. */
    send(frame: ClientFrame): boolean;
    /** Ends the connection and reports `code`. A dead network would report nothing for minutes. */
    end(code: number, reason: string): void;
    /** Asks for a sign of life now. */
    ping(): void;
}
export declare const LOST = 1006;
/** Opens a socket. It reports its close once, also that of a dead network. */
export declare function openSocket(core: Core, url: string, access: string, owner: SocketOwner): Socket;
