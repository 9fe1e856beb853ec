import type { Limits } from "./core.js";
import { Emitter } from "./emitter.js";
import type { EventsSocket } from "./events.js";
import { type Fetch, type SocketClass } from "./platform.js";
import { type Call } from "./rest.js";
import { Room } from "./room.js";
import type { ErrorEvent } from "./room_view.js";
import { type Storage } from "./storage/memory.js";
import { type TokenPair } from "./tokens.js";
export interface ChatOptions extends Partial<Limits> {
    /** Where the server is, such as `https://chat.example.com`. */
    url: string;
    /** Keeps the sign-in and unsent messages; by default in memory. */
    storage?: Storage;
    fetch?: Fetch;
    WebSocket?: SocketClass;
    random?: () => number;
    now?: () => number;
}
export interface ChatEvents {
    /** The session has ended, here or on another device. */
    signedOut: void;
    error: ErrorEvent;
}
/** One user of a server. */
export declare class ChatClient extends Emitter<ChatEvents> {
    #private;
    /** Calls the REST API: `chat.rest("GET", "/rooms/{room_id}", {params: {room_id: 7}})`. */
    readonly rest: Call;
    constructor({ url, storage, ...options }: ChatOptions);
    /** The user's id, null when signed out. */
    get userId(): number | null;
    get username(): string;
    /** Signs in. `name` may be an e-mail address. Throws ApiError `invalid_credentials`. */
    login(name: string, password: string): Promise<void>;
    /** Registers and signs in. Throws ApiError, as for a name that is taken. */
    register(username: string, password: string, email?: string): Promise<void>;
    /** Takes a sign-in from elsewhere. This client renews it, so nothing else may. */
    useTokens(pair: TokenPair): Promise<void>;
    /** Takes the sign-in that is in the storage. Returns whether there is one. */
    restore(): Promise<boolean>;
    /**
     * Closes everything, ends the session and deletes what the storage holds of the user.
     *
     * Signed out here in any case; throws ApiError when the server could not be told.
     */
    logout(): Promise<void>;
    /** Closes all sockets. The sign-in stays. */
    close(): void;
    /** Connects at once where a socket waits, and checks the others: call it when the network is back. */
    wake(): void;
    /** A public room. Opening it joins, and makes it when the name is free. */
    room(name: string): Room;
    group(name: string): Room;
    privateRoom(username: string): Room;
    /** The socket for all rooms. Its code is loaded when it is first asked for. */
    events(): Promise<EventsSocket>;
}
