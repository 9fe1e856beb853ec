import type { Core, Limits } from "./core.js";
import { Emitter } from "./emitter.js";
import { ChatError } from "./errors.js";
import type { EventsSocket } from "./events.js";
import { platform, type Fetch, type SocketClass } from "./platform.js";
import { Rest } from "./rest.js";
import { Room } from "./room.js";
import type { ErrorEvent } from "./room_view.js";
import { memoryStorage, type Storage } from "./storage/memory.js";
import { Tokens, type TokenPair } from "./tokens.js";

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

const LIMITS: Limits = {
  maxQueued: 1000,
  maxQueuedBytes: 1_000_000,
  keep: 10_000,
  pingInterval: 20,
  pongTimeout: 10,
  resume: true,
  resend: true,
};

/** One user of a server. */
export class ChatClient extends Emitter<ChatEvents> {
  readonly #core: Core;
  readonly #tokens: Tokens;
  readonly #rest: Rest;
  #rooms = new Map<string, Room>();
  #events: EventsSocket | null = null;

  /** Calls the REST API: `chat.rest("GET", "/rooms/{room_id}", {params: {room_id: 7}})`. */
  readonly rest: Rest["call"];

  constructor({ url, storage = memoryStorage(), ...options }: ChatOptions) {
    super();
    const address = url.replace(/\/+$/, "");
    const now = options.now ?? Date.now;
    const fetch = options.fetch ?? ((target, init) => needed(platform.fetch, "fetch")(target, init));
    const report = (code: string, message: string, cause?: unknown) => this.emit("error", { code, message, cause });
    this.#tokens = new Tokens(storage, now, (refresh) => this.#refresh(refresh), () => this.#signedOut(), report);
    this.#rest = new Rest(address, fetch, this.#tokens);
    this.rest = this.#rest.call;
    const tokens = this.#tokens;
    this.#core = {
      url: address,
      fetch,
      WebSocket: options.WebSocket ?? needed(platform.WebSocket, "WebSocket"),
      storage,
      random: options.random ?? Math.random,
      now,
      options: { ...LIMITS, ...defined(options) },
      tokens,
      rest: this.rest,
      get userId() {
        return tokens.userId;
      },
      get username() {
        return tokens.username;
      },
      identify: (user) => (tokens.username = user.username),
      report,
    };
  }

  /** The user's id, null when signed out. */
  get userId(): number | null {
    return this.#tokens.userId;
  }

  get username(): string | null {
    return this.#tokens.username;
  }

  /** Signs in. `name` may be an e-mail address. Throws ApiError `invalid_credentials`. */
  async login(name: string, password: string): Promise<void> {
    const answer = await this.rest("POST", "/login", { body: { username: name, password } });
    await this.#signIn(answer, answer.user.username);
  }

  /** Registers and signs in. Throws ApiError, as for a name that is taken. */
  async register(name: string, password: string, email?: string): Promise<void> {
    const answer = await this.rest("POST", "/register", { body: { username: name, password, ...(email && { email }) } });
    await this.#signIn(answer, answer.username);
  }

  /** Takes a sign-in from elsewhere. This client renews it, so nothing else may. */
  async useTokens(pair: TokenPair): Promise<void> {
    await this.#signIn(pair, null);
  }

  /** Takes the sign-in that is in the storage. Returns whether there is one. */
  async restore(): Promise<boolean> {
    await this.#tokens.load();
    return this.#tokens.refreshToken !== null;
  }

  /**
   * Closes everything, ends the session and deletes what the storage holds of the user.
   *
   * Signed out here in any case; throws ApiError when the server could not be told.
   */
  async logout(): Promise<void> {
    await this.#tokens.load();
    const { refreshToken: refresh, userId } = this.#tokens;
    this.close();
    this.#rooms.clear();
    this.#events = null;
    await this.#tokens.clear();
    await this.#forget(`outbox/${userId}/`);
    if (refresh !== null) await this.#post("/logout", { refresh });
  }

  /** Closes all sockets. The sign-in stays. */
  close(): void {
    for (const room of this.#rooms.values()) room.close();
    this.#events?.close();
  }

  /** Connects at once where a socket waits, and checks the others: call it when the network is back. */
  wake(): void {
    for (const room of this.#rooms.values()) room.wake();
    this.#events?.wake();
  }

  /** A public room. Opening it joins, and makes it when the name is free. */
  room(name: string): Room {
    return this.#room(`/ws/chat/${encodeURIComponent(name)}/`);
  }

  group(name: string): Room {
    return this.#room(`/ws/chat/group/${encodeURIComponent(name)}/`);
  }

  privateRoom(username: string): Room {
    return this.#room(`/ws/private/${encodeURIComponent(username)}/`);
  }

  /** The socket for all rooms. Its code is loaded when it is first asked for. */
  async events(): Promise<EventsSocket> {
    const { EventsSocket } = await import("./events.js");
    return (this.#events ??= new EventsSocket(this.#core));
  }

  #room(path: string): Room {
    const room = this.#rooms.get(path) ?? new Room(this.#core, path);
    this.#rooms.set(path, room);
    return room;
  }

  async #signIn(pair: TokenPair, username: string | null): Promise<void> {
    await this.#tokens.set(pair, username);
  }

  async #refresh(refresh: string): Promise<TokenPair> {
    return (await this.#post("/token/refresh", { refresh })) as TokenPair;
  }

  #post(path: string, body: unknown): Promise<unknown> {
    const headers = { "Content-Type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    return this.#rest.send(`${this.#core.url}/api${path}`, init);
  }

  #signedOut(): void {
    this.emit("error", { code: "session_ended", message: "The session has ended: sign in again" });
    this.emit("signedOut", undefined);
  }

  async #forget(prefix: string): Promise<void> {
    try {
      for (const key of await this.#core.storage.keys(prefix)) await this.#core.storage.remove(key);
    } catch (cause) {
      this.emit("error", { code: "storage_failed", message: "Unsent messages stay in the storage", cause });
    }
  }
}


function needed<T>(found: T | undefined, name: string): T {
  if (found) return found;
  throw new ChatError("unsupported", `There is no ${name} here: pass one to ChatClient`);
}

function defined<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

declare function encodeURIComponent(text: string): string;
