import type { Core } from "./core.js";
import type { Ack, ClientFrame, ErrorFrame } from "./frames.js";
import { type ViewMessage } from "./message.js";
export interface SendOptions {
    /** Id of a message of this room. */
    replyTo?: number;
    /** Ids of uploaded files. */
    attachments?: number[];
}
/** What the outbox needs of its room. */
export interface OutboxRoom {
    /** Names the room in the storage. */
    readonly storageName: string;
    transmit(frame: ClientFrame): boolean;
    /** Ends a connection that does not answer. */
    drop(reason: string): void;
    changed(): void;
}
/**
 * Keeps messages until the server has acknowledged them, also over a restart.
 *
 * One is in flight at a time: with several, a refusal of the first would let the second overtake it.
 */
export interface Outbox {
    /** Accepts a message. Throws ChatError `outbox_full` or `frame_too_big`. */
    add(text: string, options?: SendOptions): ViewMessage;
    /** Own messages that are not in the timeline yet, oldest first. */
    pending(): ViewMessage[];
    /** Starts sending, with what was not acknowledged on the last connection. */
    opened(): Promise<void>;
    /** Stops sending. What was in flight may have been stored: the `client_id` decides. */
    closed(): void;
    /** Loads what an earlier start of the program left, once the user is known. */
    restore(): Promise<void>;
    acknowledged(ack: Ack): void;
    /** Takes an own message that came from the room, which acknowledges it, too. */
    arrived(clientId: string | null): void;
    /** Drops what the timeline shows up to `end`. */
    settle(end: number): void;
    /** Handles an error frame. Returns whether it was about a message of this outbox. */
    refused(error: ErrorFrame): boolean;
    /** Ends all waiting messages as failed: the room will not take them. */
    failAll(code: string, message: string): void;
    /** Sends a failed message again. */
    retry(clientId: string): void;
    /** Gives up a message that is not in flight. */
    discard(clientId: string): void;
    /** Resolves when no message is queued or in flight. */
    flush(): Promise<void>;
}
export declare function createOutbox(core: Core, room: OutboxRoom): Outbox;
