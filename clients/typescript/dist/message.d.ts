import type { ChangeFrame, Message } from "./frames.js";
/**
 * The states of a message:
 * `queued` waits for its turn or for a connection, `sending` waits for the server's answer,
 * `sent` is stored on the server, `failed` was refused for good (see `error`).
 */
export type SendState = "queued" | "sending" | "sent" | "failed";
/** A message as it is shown: one of the server, or an own one that is on its way. */
export interface ViewMessage extends Omit<Message, "id" | "seq" | "version"> {
    /** The same before and after sending: a key for lists. */
    readonly key: string;
    /** null until the server has stored the message; so are `seq` and `version`. */
    readonly id: number | null;
    readonly seq: number | null;
    readonly version: number | null;
    readonly state: SendState;
    readonly error: {
        code: string;
        message: string;
    } | null;
}
/** A message that the server has. */
export interface StoredMessage extends ViewMessage {
    readonly id: number;
    readonly seq: number;
    readonly version: number;
}
export declare function keyOf(sender: number, clientId: string | null, id: number | null): string;
export declare function fromRest(message: Message): StoredMessage;
/** Frames call the text `message`, REST calls it `content`. */
export declare function fromFrame({ type: _, message: content, ...rest }: ChangeFrame): StoredMessage;
