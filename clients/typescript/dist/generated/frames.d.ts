/**
 * What a client receives on a socket of one room.
 */
export type ServerFrame = (Ready | MessageFrame | EditFrame | DeleteFrame | ReactionFrame | PinFrame | Ack | TypingOut | Joined | Exited | ReadOut | DeliveredOut | RoomFrame | Resumed | Pong | ErrorFrame);
/**
 * What a client receives on a socket of all rooms.
 */
export type EventsServerFrame = (EventsReady | MessageFrame | EditFrame | DeleteFrame | ReactionFrame | PinFrame | Ack | TypingOutInRoom | JoinedInRoom | ExitedInRoom | ReadOutInRoom | DeliveredOutInRoom | RoomFrameInRoom | ResumedInRoom | Pong | ErrorFrame | Followed | Unfollowed | RoomAdded | RoomRemoved | Marks | ProfileFrame | PresenceFrame);
/**
 * What a client may send on a socket of one room.
 */
export type ClientFrame = (SendMessage | Typing | Join | Exit | Read | Delivered | Resume | Ping | SendMessageAsContent | TypingWithoutType);
/**
 * What a client may send on a socket of all rooms.
 */
export type EventsClientFrame = (SendToRoom | TypingInRoom | JoinInRoom | ExitRoom | ReadRoom | DeliveredInRoom | Follow | Unfollow | ResumeRooms | Ping | SendToRoomAsContent | TypingInRoomWithoutType);
export interface Frames {
    ServerFrame?: ServerFrame;
    EventsServerFrame?: EventsServerFrame;
    ClientFrame?: ClientFrame;
    EventsClientFrame?: EventsClientFrame;
}
/**
 * Always the first frame: signed in, and subscribed to the room.
 *
 * `online` has at most 100 usernames. Frames after `version` follow.
 */
export interface Ready {
    type: "ready";
    room: RoomOut;
    user: UserOut;
    version: number;
    online: string[];
    online_count: number;
}
/**
 * A room, for every user who may see it.
 *
 * Only a private room has `members`, the pair.
 */
export interface RoomOut {
    id: number;
    name: (string | null);
    kind: ("public" | "group" | "private");
    title: string;
    topic: string;
    created_by: (number | null);
    created_at: string;
    member_count: number;
    last_seq: number;
    version: number;
    members?: string[];
}
export interface UserOut {
    id: number;
    username: string;
}
/**
 * A message, stored before any client receives it.
 */
export interface MessageFrame {
    type: "message";
    id: number;
    seq: number;
    version: number;
    room: (string | null);
    room_id: number;
    sender: number;
    username: string;
    receiver: (number | null);
    timestamp: string;
    edited_at: (string | null);
    deleted: boolean;
    reply_to: (number | null);
    client_id: (string | null);
    attachments: AttachmentOut[];
    reactions: ReactionOut[];
    /**
     * Ids of mentioned members, at most 50
     */
    mentions: number[];
    /**
     * An owner or admin of a public or a group room wrote `@all`
     */
    mentions_all: boolean;
    quote: (QuoteOut | null);
    pinned: boolean;
    message: string;
}
/**
 * A file of a message.
 *
 * `width`, `height` and `thumbnail_url` are null for other than images.
 */
export interface AttachmentOut {
    id: number;
    name: string;
    content_type: string;
    size: number;
    width: (number | null);
    height: (number | null);
    url: string;
    thumbnail_url: (string | null);
}
/**
 * One emoji of a message; `users` are the ids of the first 50.
 */
export interface ReactionOut {
    emoji: string;
    count: number;
    users: number[];
}
/**
 * The message that another one replies to, as it is now.
 *
 * `content` has at most 200 characters, and none when the message was deleted.
 */
export interface QuoteOut {
    id: number;
    sender: number;
    username: string;
    content: string;
    deleted: boolean;
}
/**
 * A message whose text changed: its whole state.
 */
export interface EditFrame {
    type: "edit";
    id: number;
    seq: number;
    version: number;
    room: (string | null);
    room_id: number;
    sender: number;
    username: string;
    receiver: (number | null);
    timestamp: string;
    edited_at: (string | null);
    deleted: boolean;
    reply_to: (number | null);
    client_id: (string | null);
    attachments: AttachmentOut[];
    reactions: ReactionOut[];
    /**
     * Ids of mentioned members, at most 50
     */
    mentions: number[];
    /**
     * An owner or admin of a public or a group room wrote `@all`
     */
    mentions_all: boolean;
    quote: (QuoteOut | null);
    pinned: boolean;
    message: string;
}
/**
 * A message that was deleted: it keeps its `seq` and loses its text.
 */
export interface DeleteFrame {
    type: "delete";
    id: number;
    seq: number;
    version: number;
    room: (string | null);
    room_id: number;
    sender: number;
    username: string;
    receiver: (number | null);
    timestamp: string;
    edited_at: (string | null);
    deleted: boolean;
    reply_to: (number | null);
    client_id: (string | null);
    attachments: AttachmentOut[];
    reactions: ReactionOut[];
    /**
     * Ids of mentioned members, at most 50
     */
    mentions: number[];
    /**
     * An owner or admin of a public or a group room wrote `@all`
     */
    mentions_all: boolean;
    quote: (QuoteOut | null);
    pinned: boolean;
    message: string;
}
/**
 * A message whose reactions changed: its whole state.
 */
export interface ReactionFrame {
    type: "reaction";
    id: number;
    seq: number;
    version: number;
    room: (string | null);
    room_id: number;
    sender: number;
    username: string;
    receiver: (number | null);
    timestamp: string;
    edited_at: (string | null);
    deleted: boolean;
    reply_to: (number | null);
    client_id: (string | null);
    attachments: AttachmentOut[];
    reactions: ReactionOut[];
    /**
     * Ids of mentioned members, at most 50
     */
    mentions: number[];
    /**
     * An owner or admin of a public or a group room wrote `@all`
     */
    mentions_all: boolean;
    quote: (QuoteOut | null);
    pinned: boolean;
    message: string;
}
/**
 * A message that was pinned or unpinned (see `pinned`): its whole state.
 */
export interface PinFrame {
    type: "pin";
    id: number;
    seq: number;
    version: number;
    room: (string | null);
    room_id: number;
    sender: number;
    username: string;
    receiver: (number | null);
    timestamp: string;
    edited_at: (string | null);
    deleted: boolean;
    reply_to: (number | null);
    client_id: (string | null);
    attachments: AttachmentOut[];
    reactions: ReactionOut[];
    /**
     * Ids of mentioned members, at most 50
     */
    mentions: number[];
    /**
     * An owner or admin of a public or a group room wrote `@all`
     */
    mentions_all: boolean;
    quote: (QuoteOut | null);
    pinned: boolean;
    message: string;
}
/**
 * The message of this socket is stored. Outside the order of versions.
 */
export interface Ack {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "ack";
    client_id?: string;
    room_id: number;
    id: number;
    seq: number;
    version: number;
    /**
     * An earlier frame with this `client_id` made the message
     */
    duplicate: boolean;
}
/**
 * Another user types, or stopped. Clients forget it after 6 seconds.
 */
export interface TypingOut {
    type: "typing";
    sender: number;
    username: string;
    typing: boolean;
}
/**
 * The first socket of a user in the room opened.
 */
export interface Joined {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "join";
    username: string;
}
/**
 * The last socket of a user in the room closed.
 */
export interface Exited {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "exit";
    username: string;
}
/**
 * A user has read everything up to `seq`.
 */
export interface ReadOut {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "read";
    username: string;
    seq: number;
}
/**
 * A device of a user has everything up to `seq`.
 */
export interface DeliveredOut {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "delivered";
    username: string;
    seq: number;
}
/**
 * The title or topic of the room changed.
 */
export interface RoomFrame {
    type: "room";
    room: RoomOut;
}
/**
 * Ends a resume.
 *
 * If `complete`, all changes from version `from` to `to` were sent. Otherwise none was: the client reloads history by REST.
 */
export interface Resumed {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "resumed";
    from: number;
    to: number;
    complete: boolean;
}
/**
 * The answer to a `ping`.
 */
export interface Pong {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "pong";
}
/**
 * The frame had no effect; or the socket closes, with `code` as reason.
 */
export interface ErrorFrame {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "error";
    code: ("auth_timeout" | "bad_frame" | "busy" | "client_id_reused" | "forbidden" | "frame_too_big" | "internal" | "invalid" | "no_such_room" | "no_such_user" | "not_a_member" | "not_authenticated" | "rate_limited" | "receiver_mismatch" | "removed" | "sender_mismatch" | "session_ended" | "token_expired" | "token_invalid" | "too_many_connections" | "too_slow" | "unknown_type");
    /**
     * For people
     */
    message: string;
    /**
     * Seconds to wait
     */
    retry_after?: number;
    errors?: {
        loc: string[];
        msg: string;
        type: string;
    }[];
    /**
     * Of the frame that had no effect, on an events socket
     */
    room_id?: number;
}
/**
 * Always the first frame: signed in, and following `rooms`.
 *
 * `more`: the caller has further rooms, which the socket does not follow.
 */
export interface EventsReady {
    type: "ready";
    user: UserOut;
    rooms: RoomState[];
    more: boolean;
}
/**
 * A followed room at the moment of `ready`.
 */
export interface RoomState {
    id: number;
    version: number;
    last_seq: number;
    last_read_seq: number;
    unread: number;
    mentions: number;
    muted: boolean;
}
/**
 * Another user of a room types, or stopped.
 */
export interface TypingOutInRoom {
    type: "typing";
    sender: number;
    username: string;
    typing: boolean;
    room_id: number;
}
/**
 * The first socket of a user in a room opened.
 */
export interface JoinedInRoom {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "join";
    username: string;
    room_id: number;
}
/**
 * The last socket of a user in a room closed.
 */
export interface ExitedInRoom {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "exit";
    username: string;
    room_id: number;
}
/**
 * A user has read everything of a room up to `seq`.
 */
export interface ReadOutInRoom {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "read";
    username: string;
    seq: number;
    room_id: number;
}
/**
 * A device of a user has everything of a room up to `seq`.
 */
export interface DeliveredOutInRoom {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "delivered";
    username: string;
    seq: number;
    room_id: number;
}
/**
 * The title or topic of a room changed.
 */
export interface RoomFrameInRoom {
    type: "room";
    room: RoomOut;
    room_id: number;
}
/**
 * Ends the resume of one room.
 *
 * If `complete`, all changes from version `from` to `to` were sent. Otherwise none was: the client reloads history by REST.
 */
export interface ResumedInRoom {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "resumed";
    from: number;
    to: number;
    complete: boolean;
    room_id: number;
}
/**
 * The socket follows a room. Frames after `version` come from then on.
 */
export interface Followed {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "followed";
    room_id: number;
    room: RoomOut;
    version: number;
    online: string[];
    online_count: number;
}
/**
 * The socket does not follow this room any more.
 */
export interface Unfollowed {
    /**
     * That of the frame this one answers
     */
    ref?: string;
    type: "unfollowed";
    room_id: number;
}
/**
 * The caller became a member. Frames of the room follow from `room.version` on.
 */
export interface RoomAdded {
    type: "room_added";
    room: MyRoomOut;
}
export interface MyRoomOut {
    id: number;
    name: (string | null);
    kind: ("public" | "group" | "private");
    title: string;
    topic: string;
    created_by: (number | null);
    created_at: string;
    member_count: number;
    last_seq: number;
    version: number;
    members?: string[];
    role: ("owner" | "admin" | "member");
    unread: number;
    last_read_seq: number;
    /**
     * Unread messages that mention you or everyone
     */
    mentions: number;
    muted: boolean;
    muted_until: (string | null);
    notify: ("all" | "mentions" | "none");
    last_message: (MessageOut | null);
}
export interface MessageOut {
    id: number;
    seq: number;
    version: number;
    room: (string | null);
    room_id: number;
    sender: number;
    username: string;
    receiver: (number | null);
    timestamp: string;
    edited_at: (string | null);
    deleted: boolean;
    reply_to: (number | null);
    client_id: (string | null);
    attachments: AttachmentOut[];
    reactions: ReactionOut[];
    /**
     * Ids of mentioned members, at most 50
     */
    mentions: number[];
    /**
     * An owner or admin of a public or a group room wrote `@all`
     */
    mentions_all: boolean;
    quote: (QuoteOut | null);
    pinned: boolean;
    content: string;
}
/**
 * The room is no longer the caller's. No later frame of it arrives.
 */
export interface RoomRemoved {
    type: "room_removed";
    room_id: number;
    reason: ("removed" | "left" | "deleted");
}
/**
 * The caller read or muted a room, on any device.
 */
export interface Marks {
    type: "marks";
    room_id: number;
    last_read_seq: number;
    unread: number;
    mentions: number;
    muted: boolean;
}
/**
 * A user who shares a room with the caller changed the display name.
 */
export interface ProfileFrame {
    type: "profile";
    user: ProfileUser;
}
export interface ProfileUser {
    id: number;
    username: string;
    display_name: string;
}
/**
 * A user who shares a room with the caller came online or went offline.
 */
export interface PresenceFrame {
    type: "presence";
    user_id: number;
    username: string;
    online: boolean;
    last_seen: (string | null);
}
/**
 * Sends a message to the room, or with `receiver` a private one.
 */
export interface SendMessage {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type?: "message";
    /**
     * Trimmed. `content` is another name of it. May be empty with files
     */
    message: string;
    /**
     * New for each message: sent again, it never makes a second message
     */
    client_id?: (string | null);
    /**
     * A user's id: makes it a private message to that user
     */
    receiver?: (number | null);
    /**
     * Id of a message of this room
     */
    reply_to?: (number | null);
    /**
     * Ids of files that you uploaded, attached to no message yet. With files the text may be empty
     */
    attachments?: number[];
}
/**
 * Publishes that the caller types, or stopped: not stored.
 */
export interface Typing {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "typing";
    typing?: boolean;
}
/**
 * Asks for the caller's own `join`; the others receive it at most every 10 s.
 */
export interface Join {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "join";
}
/**
 * Ends the socket: `exit`, then close code 1000.
 */
export interface Exit {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "exit";
}
/**
 * Marks everything up to `seq` as read.
 */
export interface Read {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "read";
    seq: number;
}
/**
 * Marks everything up to `seq` as received by this device.
 */
export interface Delivered {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "delivered";
    seq: number;
}
/**
 * Asks for everything after version `since`; `resumed` ends the answer.
 */
export interface Resume {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "resume";
    since: number;
}
/**
 * Asks for a `pong`.
 */
export interface Ping {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "ping";
}
/**
 * A message with `content` as the name of its text.
 */
export interface SendMessageAsContent {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type?: "message";
    /**
     * As `message`
     */
    content: string;
    /**
     * New for each message: sent again, it never makes a second message
     */
    client_id?: (string | null);
    /**
     * A user's id: makes it a private message to that user
     */
    receiver?: (number | null);
    /**
     * Id of a message of this room
     */
    reply_to?: (number | null);
    /**
     * Ids of files that you uploaded, attached to no message yet. With files the text may be empty
     */
    attachments?: number[];
}
/**
 * Typing without `type`: a frame with `typing` is of this type.
 */
export interface TypingWithoutType {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    typing: boolean;
}
/**
 * Sends a message to a room, or a private one to a user.
 */
export interface SendToRoom {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type?: "message";
    /**
     * Trimmed. `content` is another name of it. May be empty with files
     */
    message: string;
    /**
     * New for each message: sent again, it never makes a second message
     */
    client_id?: (string | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
    /**
     * Id of a message of this room
     */
    reply_to?: (number | null);
    /**
     * Ids of files that you uploaded, attached to no message yet. With files the text may be empty
     */
    attachments?: number[];
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
}
/**
 * Publishes in a room that the caller types, or stopped: not stored.
 */
export interface TypingInRoom {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "typing";
    typing?: boolean;
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
}
/**
 * Asks for the caller's own `join` in a room that the socket follows.
 */
export interface JoinInRoom {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "join";
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
}
/**
 * Ends following a room, as `exit` ends a socket of one room.
 */
export interface ExitRoom {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "exit";
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
}
/**
 * Marks everything of a room up to `seq` as read.
 */
export interface ReadRoom {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "read";
    seq: number;
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
}
/**
 * Marks everything of a room up to `seq` as received by this device.
 */
export interface DeliveredInRoom {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "delivered";
    seq: number;
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
}
/**
 * Follows a room, and counts the caller as online there.
 */
export interface Follow {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
    type: "follow";
}
/**
 * Ends the frames of a room, not the membership.
 */
export interface Unfollow {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
    type: "unfollow";
}
/**
 * Asks for what followed in each room: `rooms` maps ids to versions.
 */
export interface ResumeRooms {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type: "resume";
    rooms: {
        [k: string]: number;
    };
}
/**
 * A message with `content` as the name of its text.
 */
export interface SendToRoomAsContent {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    type?: "message";
    /**
     * As `message`
     */
    content: string;
    /**
     * New for each message: sent again, it never makes a second message
     */
    client_id?: (string | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
    /**
     * Id of a message of this room
     */
    reply_to?: (number | null);
    /**
     * Ids of files that you uploaded, attached to no message yet. With files the text may be empty
     */
    attachments?: number[];
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
}
/**
 * Typing without `type`: a frame with `typing` is of this type.
 */
export interface TypingInRoomWithoutType {
    /**
     * An access token: signs in, or renews the sign-in
     */
    token?: (string | null);
    /**
     * Must be the caller's own
     */
    username?: (string | null);
    /**
     * Repeated by the `ack`, `error` or answer to this frame
     */
    ref?: (string | null);
    typing: boolean;
    /**
     * Needed, unless there is a `receiver`
     */
    room_id?: (number | null);
    /**
     * A user's id: the private room with that user
     */
    receiver?: (number | null);
}
