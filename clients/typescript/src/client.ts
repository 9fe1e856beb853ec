import type { Core, Limits } from "./core.js";
import { Emitter } from "./emitter.js";
import { ChatError } from "./errors.js";
import type { EventsSocket } from "./events.js";
import { platform, type Fetch, type SocketClass } from "./platform.js";
import { createRest, type Call } from "./rest.js";
import { Room } from "./room.js";
import type { ErrorEvent } from "./room_view.js";
import { memoryStorage, type Storage } from "./storage/memory.js";
import { safeStorage } from "./storage/safe.js";
import { createTokens, type TokenPair, type Tokens } from "./tokens.js";

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

const DEFAULTS: Limits = {
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
  #rooms = new Map<string, Room>();
  #events: EventsSocket | null = null;

  /** Calls the REST API: `chat.rest("GET", "/rooms/{room_id}", {params: {room_id: 7}})`. */
  readonly rest: Call;

  constructor({ url, storage = memoryStorage(), ...options }: ChatOptions) {
    super();
    const address = url.replace(/\/+$/, "");
    const { random = Math.random, now = Date.now } = options;
    const report: Core["report"] = (code, message, cause) => this.emit("error", { code, message, cause });
    const safe = safeStorage(storage, report);
    this.#tokens = createTokens(
      safe,
      now,
      (refresh) => this.rest("POST", "/token/refresh", { body: { refresh } }),
      () => {
        report("session_ended", "Session ended: sign in again");
        this.emit("signedOut", undefined);
      },
      () => this.#forget(),
    );
    // Browsers refuse a `fetch` that is called as a method of another object.
    const fetch = options.fetch ?? ((target, init) => needed(platform.fetch, "fetch")(target, init));
    this.rest = createRest(address, fetch, this.#tokens);
    this.#core = {
      url: address,
      WebSocket: options.WebSocket ?? needed(platform.WebSocket, "WebSocket"),
      storage: safe,
      random,
      now,
      options: { ...DEFAULTS, ...options },
      tokens: this.#tokens,
      rest: this.rest,
      report,
    };
  }

  /** The user's id, null when signed out. */
  get userId(): number | null {
    return this.#tokens.userId;
  }

  get username(): string {
    return this.#tokens.username;
  }

  /** Signs in. `name` may be an e-mail address. Throws ApiError `invalid_credentials`. */
  async login(name: string, password: string): Promise<void> {
    const answer = await this.rest("POST", "/login", { body: { username: name, password } });
    await this.#tokens.set(answer, answer.user.username);
  }

  /** Registers and signs in. Throws ApiError, as for a name that is taken. */
  async register(username: string, password: string, email?: string): Promise<void> {
    const answer = await this.rest("POST", "/register", { body: { username, password, ...(email && { email }) } });
    await this.#tokens.set(answer, answer.username);
  }

  /** Takes a sign-in from elsewhere. This client renews it, so nothing else may. */
  useTokens(pair: TokenPair): Promise<void> {
    return this.#tokens.set(pair);
  }

  /** Takes the sign-in that is in the storage. Returns whether there is one. */
  async restore(): Promise<boolean> {
    await this.#tokens.load();
    return this.userId !== null;
  }

  /**
   * Closes everything, ends the session and deletes what the storage holds of the user.
   *
   * Signed out here in any case; throws ApiError when the server could not be told.
   */
  async logout(): Promise<void> {
    this.#forget();
    const { storage } = this.#core;
    const signedIn = await this.restore();
    const prefix = `outbox/${this.userId}/`;
    try {
      if (signedIn) await this.rest("POST", "/logout", { body: { refresh: this.#tokens.refreshToken! } });
    } finally {
      for (const key of await storage.keys(prefix)) await storage.remove(key);
      await this.#tokens.clear();
    }
  }

  /** Closes all sockets. The sign-in stays. */
  close(): void {
    for (const socket of this.#sockets) socket.close();
  }

  /** Connects at once where a socket waits, and checks the others: call it when the network is back. */
  wake(): void {
    for (const socket of this.#sockets) socket.wake();
  }

  /** A public room. Opening it joins, and makes it when the name is free. */
  room(name: string): Room {
    return this.#room("chat", name);
  }

  group(name: string): Room {
    return this.#room("chat/group", name);
  }

  privateRoom(username: string): Room {
    return this.#room("private", username);
  }

  /** The socket for all rooms. Its code is loaded when it is first asked for. */
  async events(): Promise<EventsSocket> {
    const { EventsSocket } = await import("./events.js");
    return (this.#events ??= new EventsSocket(this.#core));
  }

  /** Closes everything. The next user gets new rooms, and the old ones show nothing of theirs. */
  #forget(): void {
    const sockets = this.#sockets;
    // First: a handler that runs while they close may ask for a room.
    this.#rooms.clear();
    this.#events = null;
    for (const socket of sockets) socket.close();
  }

  get #sockets(): (Room | EventsSocket)[] {
    return [...this.#rooms.values(), ...(this.#events ? [this.#events] : [])];
  }

  #room(kind: string, name: string): Room {
    const path = `/ws/${kind}/${encodeURIComponent(name)}/`;
    const room = this.#rooms.get(path) ?? new Room(this.#core, path);
    this.#rooms.set(path, room);
    return room;
  }
}

function needed<T>(found: T | undefined, name: string): T {
  if (found) return found;
  throw new ChatError("unsupported", `ChatClient needs a ${name} here`);
}

declare function encodeURIComponent(text: string): string;
