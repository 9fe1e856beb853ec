import type { Core } from "./core.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import { type FrameEvent } from "./socket.js";
/** `offline`: not opened, or waiting for the next attempt. `stopped`: no further attempt. */
export type ConnectionState = "offline" | "connecting" | "open" | "stopped";
export interface CloseEvent {
    code: number;
    /** The `code` of the error frame before the close. */
    reason: string;
    reconnects: boolean;
    explanation: string;
}
export interface ConnectionOwner {
    /** The path and query of the socket. */
    path(): string;
    received(frame: ServerFrame): void;
    /** The connection is gone; `open` again after the next `ready`. */
    disconnected(): void;
    stateChanged(state: ConnectionState): void;
    /** No further attempt: the server refused for good. */
    stopped(code: string, message: string): void;
    closed(event: CloseEvent): void;
    frame(event: FrameEvent): void;
}
/** Keeps a socket connected: connects, reconnects as the close code says, renews the sign-in. */
export interface Connection {
    readonly state: ConnectionState;
    start(): void;
    /** Closes without a further attempt, until `start`. */
    stop(): void;
    /** Connects at once, or asks an open connection for a sign of life: the network may be back. */
    wake(): void;
    /** Returns whether the frame was handed to the network. */
    send(frame: ClientFrame): boolean;
    /** Ends a connection that does not answer; a new one follows. */
    drop(reason: string): void;
}
export declare function createConnection(core: Core, owner: ConnectionOwner): Connection;
