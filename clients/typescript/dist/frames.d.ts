import type { components } from "./generated/openapi.js";
type Schemas = components["schemas"];
export type RoomInfo = Schemas["RoomOut"];
export type MyRoom = Schemas["MyRoomOut"];
export type Message = Schemas["MessageOut"];
export type Member = Schemas["MemberOut"];
export type Attachment = Schemas["AttachmentOut"];
/** A message or a change of one: always its whole state. */
export type ChangeFrame = Omit<Message, "content"> & {
    type: "message" | "edit" | "delete" | "reaction" | "pin";
    message: string;
};
interface Answering {
    ref?: string;
}
interface InRoom {
    room_id?: number;
}
export interface Ready {
    type: "ready";
    room: RoomInfo;
    user: {
        id: number;
        username: string;
    };
    version: number;
    online: string[];
    online_count: number;
}
export interface RoomState {
    id: number;
    version: number;
    last_seq: number;
    last_read_seq: number;
    unread: number;
    mentions: number;
    muted: boolean;
}
export interface EventsReady {
    type: "ready";
    user: {
        id: number;
        username: string;
    };
    rooms: RoomState[];
    more: boolean;
}
export interface Ack extends Answering {
    type: "ack";
    client_id?: string;
    room_id: number;
    id: number;
    seq: number;
    version: number;
    duplicate: boolean;
}
export interface Typing extends InRoom {
    type: "typing";
    sender: number;
    username: string;
    typing: boolean;
}
export interface Presence extends Answering, InRoom {
    type: "join" | "exit";
    username: string;
}
export interface Receipt extends Answering, InRoom {
    type: "read" | "delivered";
    username: string;
    seq: number;
}
export interface RoomChanged extends InRoom {
    type: "room";
    room: RoomInfo;
}
export interface Resumed extends Answering, InRoom {
    type: "resumed";
    from: number;
    to: number;
    complete: boolean;
}
export interface Pong extends Answering {
    type: "pong";
}
export interface ErrorFrame extends Answering, InRoom {
    type: "error";
    code: string;
    message: string;
    retry_after?: number;
    errors?: unknown[];
}
export interface Followed extends Answering {
    type: "followed";
    room_id: number;
    room: RoomInfo;
    version: number;
    online: string[];
    online_count: number;
}
export interface Unfollowed extends Answering {
    type: "unfollowed";
    room_id: number;
}
export interface RoomAdded {
    type: "room_added";
    room: MyRoom;
}
export interface RoomRemoved {
    type: "room_removed";
    room_id: number;
    reason: "removed" | "left" | "deleted";
}
export interface Marks {
    type: "marks";
    room_id: number;
    last_read_seq: number;
    unread: number;
    mentions: number;
    muted: boolean;
}
export interface Profile {
    type: "profile";
    user: {
        id: number;
        username: string;
        display_name: string;
    };
}
export interface UserPresence {
    type: "presence";
    user_id: number;
    username: string;
    online: boolean;
    last_seen: string | null;
}
export type RoomServerFrame = Ready | ChangeFrame | Ack | Typing | Presence | Receipt | RoomChanged | Resumed | Pong | ErrorFrame;
export type EventsServerFrame = Exclude<RoomServerFrame, Ready> | EventsReady | Followed | Unfollowed | RoomAdded | RoomRemoved | Marks | Profile | UserPresence;
export type ServerFrame = RoomServerFrame | EventsServerFrame;
/** A frame of this client. On an events socket a `room_id` is added. */
export type ClientFrame = {
    ref?: string;
    token?: string;
    room_id?: number;
} & ({
    type: "message";
    message: string;
    client_id: string;
    reply_to?: number;
    attachments?: number[];
} | {
    type: "typing";
    typing: boolean;
} | {
    type: "read" | "delivered";
    seq: number;
} | {
    type: "resume";
    since: number;
} | {
    type: "resume";
    rooms: Record<string, number>;
} | {
    type: "follow" | "unfollow";
} | {
    type: "ping";
});
export {};
