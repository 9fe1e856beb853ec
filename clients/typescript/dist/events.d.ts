import type { CloseEvent, ConnectionState } from "./connection.js";
import type { Core } from "./core.js";
import type { ClientFrame, RoomState, PresenceFrame } from "./frames.js";
import { Emitter, RoomView } from "./index.js";
import type { ErrorEvent } from "./room_view.js";
import type { FrameEvent } from "./socket.js";
export interface EventsSocketEvents {
    state: ConnectionState;
    /** The list of rooms, or a counter in it, has changed. */
    rooms: ReadonlyMap<number, RoomState>;
    presence: PresenceFrame;
    profile: {
        id: number;
        username: string;
        display_name: string;
    };
    frame: FrameEvent;
    close: CloseEvent;
    error: ErrorEvent;
}
/** One socket for all rooms of the user. */
export declare class EventsSocket extends Emitter<EventsSocketEvents> {
    #private;
    private readonly core;
    /** The rooms that the socket follows by itself, with their counters. */
    rooms: ReadonlyMap<number, RoomState>;
    /** Whether the user has further rooms. */
    more: boolean;
    constructor(core: Core);
    get state(): ConnectionState;
    open(): void;
    close(): void;
    wake(): void;
    /** The view of one room. `open` it when the user sees it. */
    room(id: number): EventsRoom;
}
/** A room on the socket of all rooms. */
export declare class EventsRoom extends RoomView {
    #private;
    readonly roomId: number;
    private readonly socket;
    private readonly write;
    /** Whether the user has it open. */
    opened: boolean;
    constructor(core: Core, roomId: number, socket: EventsSocket, write: (frame: ClientFrame) => boolean);
    get state(): ConnectionState;
    get id(): number;
    /** Stops following the room. Messages stay, `open` continues where it ended. */
    close(): void;
    transmit(frame: ClientFrame): boolean;
    drop(reason: string): void;
    protected start(): void;
    protected requestReplay(version: number): boolean;
}
