import type { ConnectionState } from "./connection.js";
import type { Core } from "./core.js";
import { Emitter } from "./emitter.js";
import type { ClientFrame, ErrorFrame, Member, RoomInfo, ServerFrame } from "./frames.js";
import { type ViewMessage } from "./message.js";
import { type Outbox, type OutboxRoom, type SendOptions } from "./outbox.js";
import { type Timeline } from "./timeline.js";
export interface ErrorEvent {
    code: string;
    message: string;
    /** The frame of the server, if it sent one. */
    frame?: ErrorFrame;
    cause?: unknown;
}
export interface RoomViewEvents {
    /** Something that `snapshot()` shows has changed. */
    change: void;
    messages: readonly ViewMessage[];
    state: ConnectionState;
    typing: {
        username: string;
        typing: boolean;
        typists: readonly string[];
    };
    presence: {
        username: string;
        online: boolean;
    };
    /** How far a user has read or received. All of them: `GET /rooms/{room_id}/receipts`. */
    receipt: {
        type: "read" | "delivered";
        username: string;
        seq: number;
    };
    error: ErrorEvent;
}
/** What a room shows, as one object that stays the same until something changes. */
export interface RoomSnapshot {
    readonly messages: readonly ViewMessage[];
    readonly state: ConnectionState;
    readonly version: number | null;
    readonly info: RoomInfo | null;
    readonly online: readonly string[];
    readonly onlineCount: number;
    readonly typists: readonly string[];
    readonly hasOlder: boolean;
    /** Why the room is stopped. */
    readonly stopped: {
        code: string;
        message: string;
    } | null;
}
/** One room as it is shown: messages in order, own ones on their way, people. */
export declare abstract class RoomView<Events extends RoomViewEvents = RoomViewEvents> extends Emitter<Events> implements OutboxRoom {
    #private;
    protected readonly core: Core;
    readonly storageName: string;
    info: RoomInfo | null;
    online: readonly string[];
    onlineCount: number;
    stopped: {
        code: string;
        message: string;
    } | null;
    protected readonly timeline: Timeline;
    readonly outbox: Outbox;
    constructor(core: Core, storageName: string);
    abstract get state(): ConnectionState;
    abstract transmit(frame: ClientFrame): boolean;
    abstract drop(reason: string): void;
    /** Asks for all changes after `version`. */
    protected abstract requestReplay(version: number): boolean;
    protected abstract start(): void;
    /** The id of the room, known once it was entered. */
    get id(): number | null;
    /** The version up to which everything was received. */
    get version(): number | null;
    get messages(): readonly ViewMessage[];
    get typists(): readonly string[];
    snapshot(): RoomSnapshot;
    /** Enters the room. Resolves when its newest messages are here; rejects when it is refused. */
    open(): Promise<void>;
    /** Shows a message at once and sends it. Throws ChatError `outbox_full` or `frame_too_big`. */
    send(text: string, options?: SendOptions): ViewMessage;
    /** Sends a failed message again. */
    retry(clientId: string): void;
    /** Gives up a queued or failed message. */
    discard(clientId: string): void;
    /** Resolves when every message was acknowledged or refused. */
    flush(): Promise<void>;
    typing(on?: boolean): void;
    /** Marks as read up to `seq`, by default all that is shown. */
    read(seq?: number): void;
    /** Marks as received by this device up to `seq`. */
    delivered(seq?: number): void;
    edit(messageId: number, content: string): Promise<void>;
    delete(messageId: number): Promise<void>;
    react(messageId: number, emoji: string, on?: boolean): Promise<void>;
    pin(messageId: number, on?: boolean): Promise<void>;
    /** The first 200 members, with who is online. */
    members(): Promise<Member[]>;
    /** Loads the page before the first message shown. Returns whether there are more. */
    loadOlder(limit?: number): Promise<boolean>;
    protected receive(frame: ServerFrame): void;
    /** Takes what `ready` or `followed` says. `replays`: the server replays after `version` now. */
    protected enter({ room, version, online, online_count }: {
        room: RoomInfo;
        version: number;
        online: string[];
        online_count: number;
    }, replays: boolean): void;
    /** The connection is gone. */
    protected leave(): void;
    /** The server refused for good. */
    protected refuse(code: string, message: string): void;
    protected fail(event: ErrorEvent): void;
    protected stateChanged(state: ConnectionState): void;
    /** Tells the handlers. A replay of a thousand frames is shown in steps. */
    changed(): void;
}
