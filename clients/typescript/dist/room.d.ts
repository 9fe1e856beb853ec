import { type CloseEvent, type ConnectionState } from "./connection.js";
import type { Core } from "./core.js";
import type { ClientFrame } from "./frames.js";
import { RoomView, type RoomViewEvents } from "./room_view.js";
import type { FrameEvent } from "./socket.js";
export interface RoomEvents extends RoomViewEvents {
    frame: FrameEvent;
    close: CloseEvent;
}
/** A room with a socket of its own. */
export declare class Room extends RoomView<RoomEvents> {
    #private;
    constructor(core: Core, path: string);
    get state(): ConnectionState;
    /** Disconnects. Messages stay, `open` continues where it ended. */
    close(): void;
    /** Connects at once instead of waiting: the network is back, the page is visible again. */
    wake(): void;
    transmit(frame: ClientFrame): boolean;
    drop(reason: string): void;
    protected start(): void;
    protected requestReplay(since: number): boolean;
}
