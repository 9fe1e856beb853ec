import type { ConnectionState } from "./connection.js";
import type { Core } from "./core.js";
import { ApiError, ChatError } from "./errors.js";
import { Emitter } from "./emitter.js";
import type { ChangeFrame, ClientFrame, ErrorFrame, Member, Message, RoomInfo, ServerFrame } from "./frames.js";
import { fromFrame, fromRest, type StoredMessage, type ViewMessage } from "./message.js";
import { createOutbox, type Outbox, type OutboxRoom, type SendOptions } from "./outbox.js";
import { after, cancel, sleep, type Timer } from "./platform.js";
import { Backoff } from "./reconnect.js";
import { createTimeline, type Timeline } from "./timeline.js";

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
  typing: { username: string; typing: boolean; typists: readonly string[] };
  presence: { username: string; online: boolean };
  /** How far a user has read or received. All of them: `GET /rooms/{room_id}/receipts`. */
  receipt: { type: "read" | "delivered"; username: string; seq: number };
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
  readonly stopped: { code: string; message: string } | null;
}

/** Frames that the owner of the connection handles. */
type FrameOfConnection = Extract<
  ServerFrame,
  {
    type:
      | "ready"
      | "followed"
      | "unfollowed"
      | "pong"
      | "room_added"
      | "room_removed"
      | "marks"
      | "profile"
      | "presence";
  }
>;

const PAGE = 200;
const TYPING_TTL = 6;
const TYPING_INTERVAL = 1;
const REPLAY_NOTICE = 0.05;

/** One room as it is shown: messages in order, own ones on their way, people. */
export abstract class RoomView<Events extends RoomViewEvents = RoomViewEvents>
  extends Emitter<Events>
  implements OutboxRoom
{
  info: RoomInfo | null = null;
  online: readonly string[] = [];
  onlineCount = 0;
  stopped: { code: string; message: string } | null = null;
  protected readonly timeline: Timeline;
  readonly outbox: Outbox;
  #typists = new Map<string, Timer>();
  #typedAt = 0;
  #marks = { read: 0, delivered: 0 };
  #snapshot: RoomSnapshot | null = null;
  #notice: Timer | null = null;
  #connections = 0;
  #fetching = false;
  #shownState: ConnectionState = "offline";
  #entering: { resolve: () => void; reject: (error: Error) => void } | null = null;
  #entered: Promise<void> | null = null;

  constructor(
    protected readonly core: Core,
    readonly storageName: string,
  ) {
    super();
    this.timeline = createTimeline(core.options.keep);
    this.outbox = createOutbox(core, this);
  }

  abstract get state(): ConnectionState;
  abstract transmit(frame: ClientFrame): boolean;
  abstract drop(reason: string): void;
  /** Asks for all changes after `version`. */
  protected abstract requestReplay(version: number): boolean;
  protected abstract start(): void;

  /** The id of the room, known once it was entered. */
  get id(): number | null {
    return this.info?.id ?? null;
  }

  /** The version up to which everything was received. */
  get version(): number | null {
    return this.timeline.version;
  }

  get messages(): readonly ViewMessage[] {
    return this.snapshot().messages;
  }

  get typists(): readonly string[] {
    return this.snapshot().typists;
  }

  snapshot(): RoomSnapshot {
    return (this.#snapshot ??= {
      messages: [...this.timeline.items, ...this.outbox.pending()],
      state: this.state,
      version: this.timeline.version,
      info: this.info,
      online: this.online,
      onlineCount: this.onlineCount,
      typists: [...this.#typists.keys()],
      hasOlder: this.timeline.hasOlder(),
      stopped: this.stopped,
    });
  }

  /** Enters the room. Resolves when its newest messages are here; rejects when it is refused. */
  open(): Promise<void> {
    if (!this.#entered) {
      this.#entered = new Promise((resolve, reject) => (this.#entering = { resolve, reject }));
      this.#entered.catch(() => {}); // Awaiting it is optional: `stopped` and `error` say the same.
    }
    this.stopped = null;
    void this.core.tokens.load().then(() => this.outbox.restore());
    this.start();
    return this.#entered;
  }

  // What the user does

  /** Shows a message at once and sends it. Throws ChatError `outbox_full` or `frame_too_big`. */
  send(text: string, options?: SendOptions): ViewMessage {
    return this.outbox.add(text, options);
  }

  /** Sends a failed message again. */
  retry(clientId: string): void {
    this.outbox.retry(clientId);
  }

  /** Gives up a queued or failed message. */
  discard(clientId: string): void {
    this.outbox.discard(clientId);
  }

  /** Resolves when every message was acknowledged or refused. */
  flush(): Promise<void> {
    return this.outbox.flush();
  }

  typing(on = true): void {
    // The server passes one on per second.
    if (on && this.core.now() - this.#typedAt < TYPING_INTERVAL * 1000) return;
    if (!on && this.#typedAt === 0) return;
    if (this.transmit({ type: "typing", typing: on, ref: "typing" })) {
      this.#typedAt = on ? this.core.now() : 0;
    }
  }

  /** Marks as read up to `seq`, by default all that is shown. */
  read(seq = this.timeline.end): void {
    this.#mark("read", seq);
  }

  /** Marks as received by this device up to `seq`. */
  delivered(seq = this.timeline.end): void {
    this.#mark("delivered", seq);
  }

  edit(messageId: number, content: string): Promise<void> {
    return this.#act("PATCH", messageId, "", { content });
  }

  delete(messageId: number): Promise<void> {
    return this.#act("DELETE", messageId);
  }

  react(messageId: number, emoji: string, on = true): Promise<void> {
    return this.#act(on ? "PUT" : "DELETE", messageId, `/reactions/${encodeURIComponent(emoji)}`);
  }

  pin(messageId: number, on = true): Promise<void> {
    return this.#act(on ? "PUT" : "DELETE", messageId, "/pin");
  }

  async #act(method: "PUT" | "PATCH" | "DELETE", message_id: number, action = "", body?: { content: string }) {
    const path = `/rooms/{room_id}/messages/{message_id}${action}` as "/rooms/{room_id}/messages/{message_id}";
    const params = { room_id: this.#roomId, message_id };
    const message: Message | undefined = await this.core.rest(method as "PATCH", path, { params, body: body! });
    // At once, before the frame that tells everyone.
    if (message && !this.timeline.loading) this.timeline.put(fromRest(message));
    this.changed();
  }

  /** The first 200 members, with who is online. */
  members(): Promise<Member[]> {
    return this.core.rest("GET", "/rooms/{room_id}/members", {
      params: { room_id: this.#roomId },
      query: { limit: PAGE },
    });
  }

  /** Loads the page before the first message shown. Returns whether there are more. */
  async loadOlder(limit = 50): Promise<boolean> {
    const first = () => this.timeline.items[0]?.seq ?? this.timeline.end + 1;
    for (let attempt = 0; attempt < 3; attempt++) {
      const before = first();
      if (before <= 1) return false;
      const { outside } = this.timeline;
      const page = await this.#page({ before, limit });
      // Read again when it may lack a change that came meanwhile, or does not adjoin what is shown.
      if (outside !== this.timeline.outside || before !== first()) continue;
      this.timeline.prepend(page);
      this.changed();
      return page.length > 0 && this.timeline.hasOlder();
    }
    return true;
  }

  // What the server sends

  protected receive(frame: ServerFrame): void {
    switch (frame.type) {
      case "message":
      case "edit":
      case "delete":
      case "reaction":
      case "pin":
        return this.#change(frame);
      case "ack":
        this.outbox.acknowledged(frame);
        return this.#settle();
      case "typing":
        return this.#typed(frame.username, frame.typing);
      case "join":
      case "exit":
        return this.#present(frame.username, frame.type === "join");
      case "read":
      case "delivered":
        return this.emit("receipt", frame as Events["receipt"]);
      case "room":
        this.info = frame.room;
        return this.changed();
      case "resumed":
        return this.#resumed(frame.to, frame.complete);
      case "error":
        return this.#refused(frame);
      default:
        // Does not compile when the server has a frame that is missing here. One of a newer server
        // is ignored.
        frame satisfies FrameOfConnection;
    }
  }

  /** Takes what `ready` or `followed` says. `replays`: the server replays after `version` now. */
  protected enter(
    { room, version, online, online_count }: { room: RoomInfo; version: number; online: string[]; online_count: number },
    replays: boolean,
  ): void {
    // The name belongs to another room now: the first was deleted.
    if (this.info && this.info.id !== room.id) this.timeline.version = null;
    this.info = room;
    this.online = online;
    this.onlineCount = online_count;
    this.#connections++;
    if (this.timeline.version === null) void this.#load(version, room.last_seq);
    else if (!this.core.options.resume) this.timeline.skipTo(version, room.last_seq);
    else if (replays) this.timeline.startReplay("ordered");
    void this.outbox.opened();
    for (const kind of ["read", "delivered"] as const) {
      if (this.#marks[kind]) this.transmit({ type: kind, seq: this.#marks[kind], ref: kind });
    }
    this.changed();
  }

  /** The connection is gone. */
  protected leave(): void {
    this.#connections++;
    this.outbox.closed();
    for (const timer of this.#typists.values()) cancel(timer);
    this.#typists.clear();
    this.#typedAt = 0;
    this.online = [];
    this.onlineCount = 0;
    this.changed();
  }

  /** The server refused for good. */
  protected refuse(code: string, message: string): void {
    this.stopped = { code, message };
    if (/^(forbidden|not_a_member|removed|no_such_\w+)$/.test(code)) this.outbox.failAll(code, message);
    this.#entering?.reject(new ChatError(code, message));
    this.#entered = this.#entering = null;
    this.fail({ code, message });
    this.changed();
  }

  protected fail(event: ErrorEvent): void {
    this.emit("error", event as Events["error"]);
  }

  protected stateChanged(state: ConnectionState): void {
    if (state === this.#shownState) return;
    this.#shownState = state;
    this.emit("state", state as Events["state"]);
    this.changed();
  }

  /** Tells the handlers. A replay of a thousand frames is shown in steps. */
  changed(): void {
    this.#snapshot = null;
    if (this.#notice !== null) return;
    if (this.timeline.replay === null) return this.#notify();
    this.#notice = after(REPLAY_NOTICE, () => this.#notify());
  }

  #notify(): void {
    cancel(this.#notice);
    this.#notice = null;
    this.emit("change", undefined as Events["change"]);
    this.emit("messages", this.messages as Events["messages"]);
  }

  #change(frame: ChangeFrame): void {
    // Copies of private messages are outside the order of this room; so is a frame without numbers.
    if (frame.room_id !== this.id) return;
    const message = fromFrame(frame);
    if (!(message.seq > 0 && message.version > 0)) throw new Error("seq or version");
    const missing = this.timeline.receive(message);
    this.#typed(frame.username, false);
    if (message.sender === this.core.tokens.userId) this.outbox.arrived(message.client_id);
    this.#settle();
    if (missing) this.#replayLater();
    else void this.#fill();
  }

  #resumed(to: number, complete: boolean): void {
    if (!complete) {
      void this.#load(to, this.info?.last_seq ?? 0);
    } else if (this.timeline.resumed(to)) {
      this.#replayLater();
    } else {
      void this.#fill();
    }
    this.#settle();
  }

  #settle(): void {
    this.outbox.settle(this.timeline.end);
    this.changed();
  }

  #refused(frame: ErrorFrame): void {
    if (this.outbox.refused(frame)) return;
    if (frame.ref === "resume" && this.timeline.replay !== null) return this.#replayLater(frame.retry_after ?? 1);
    this.fail({ code: frame.code, message: frame.message, frame });
  }

  // History

  /** Asks for what is missing, after a moment: all clients of a room miss the same. */
  #replayLater(delay = 0): void {
    const connection = this.#connections;
    after(delay + this.core.random(), () => {
      const { version } = this.timeline;
      if (connection !== this.#connections || version === null || !this.core.options.resume) return;
      this.requestReplay(version);
    });
  }

  /** Loads the newest page: at first, and when too much was missed to be replayed. */
  async #load(version: number, lastSeq: number): Promise<void> {
    this.timeline.load(version);
    const page = await this.#persistently({ limit: PAGE });
    if (!page) return;
    this.timeline.loaded(page, lastSeq);
    for (const { sender, client_id } of page) if (sender === this.core.tokens.userId) this.outbox.arrived(client_id);
    this.#settle();
    this.#entering?.resolve();
    this.#entering = null;
    this.changed();
    void this.#fill();
  }

  /** Fetches messages between the last one shown and one that came after a gap. */
  async #fill(): Promise<void> {
    if (this.#fetching || !this.timeline.hasGap() || !this.core.options.resume) return;
    this.#fetching = true;
    try {
      // To the end, because the timeline drops what is far ahead of the gap.
      for (let more = true; more; ) {
        const page = await this.#persistently({ after: this.timeline.end, limit: PAGE });
        if (!page || this.timeline.loading) return;
        this.timeline.fill(page);
        this.#settle();
        more = page.length > 0;
      }
    } finally {
      this.#fetching = false;
    }
  }

  /** Repeats until it succeeds, the connection ends (null) or the server refuses (null). */
  async #persistently(query: { after?: number; limit: number }): Promise<StoredMessage[] | null> {
    const connection = this.#connections;
    const backoff = new Backoff(this.core.random);
    for (;;) {
      let wait: number;
      try {
        const page = await this.#page(query);
        return connection === this.#connections ? page : null;
      } catch (error) {
        const { code, detail: message } = error as ApiError;
        this.fail({ code, message, cause: error });
        if (!(error instanceof ApiError && error.temporary)) return null;
        wait = error.retryAfter ?? 0;
      }
      await sleep(backoff.next(wait));
      if (connection !== this.#connections) return null;
    }
  }

  async #page(query: { before?: number; after?: number; limit: number }): Promise<StoredMessage[]> {
    const params = { room_id: this.#roomId };
    return (await this.core.rest("GET", "/rooms/{room_id}/messages", { params, query })).map(fromRest);
  }

  // People

  #typed(username: string, typing: boolean): void {
    if (!typing && !this.#typists.has(username)) return;
    cancel(this.#typists.get(username));
    this.#typists.delete(username);
    if (typing) this.#typists.set(username, after(TYPING_TTL, () => this.#typed(username, false)));
    this.changed();
    this.emit("typing", { username, typing, typists: this.typists } as Events["typing"]);
  }

  #present(username: string, online: boolean): void {
    const known = this.online.includes(username);
    if (known !== online) {
      this.online = online ? [...this.online, username] : this.online.filter((name) => name !== username);
      this.onlineCount += online ? 1 : -1;
    }
    if (!online) this.#typed(username, false);
    this.changed();
    this.emit("presence", { username, online } as Events["presence"]);
  }

  #mark(kind: "read" | "delivered", seq: number): void {
    if (seq <= this.#marks[kind]) return;
    this.#marks[kind] = seq;
    this.transmit({ type: kind, seq, ref: kind });
  }

  get #roomId(): number {
    if (this.id === null) throw new ChatError("not_open", "Open the room first");
    return this.id;
  }
}

declare function encodeURIComponent(text: string): string;
