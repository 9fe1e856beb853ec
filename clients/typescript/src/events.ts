import type { CloseEvent, Connection, ConnectionState } from "./connection.js";
import type { Core } from "./core.js";
import type {
  ChangeFrame,
  ClientFrame,
  ErrorFrame,
  EventsReady,
  Followed,
  Marks,
  RoomAdded,
  RoomRemoved,
  RoomState,
  ServerFrame,
  PresenceFrame,
} from "./frames.js";
// From the index, so that the code they share is in one file of `dist`.
import { after, createConnection, Emitter, isTemporary, RoomView, sleep } from "./index.js";
import type { ErrorEvent } from "./room_view.js";
import type { FrameEvent } from "./socket.js";

export interface EventsSocketEvents {
  state: ConnectionState;
  /** The list of rooms, or a counter in it, has changed. */
  rooms: ReadonlyMap<number, RoomState>;
  presence: PresenceFrame;
  profile: { id: number; username: string; display_name: string };
  frame: FrameEvent;
  close: CloseEvent;
  error: ErrorEvent;
}

const MAX_RESUMED = 2000;
const FOLLOW = "follow:";

/** One socket for all rooms of the user. */
export class EventsSocket extends Emitter<EventsSocketEvents> {
  /** The rooms that the socket follows by itself, with their counters. */
  rooms: ReadonlyMap<number, RoomState> = new Map();
  /** Whether the user has further rooms. */
  more = false;
  #views = new Map<number, EventsRoom>();
  #connection: Connection;
  #turn = 0;

  constructor(private readonly core: Core) {
    super();
    this.#connection = createConnection(core, {
      path: () => "/ws/events/",
      received: (frame) => this.#received(frame),
      disconnected: () => this.#disconnected(),
      stateChanged: (state) => this.emit("state", state),
      stopped: (code, message) => {
        this.emit("error", { code, message });
        for (const view of this.#views.values()) view.end(code, message);
      },
      closed: (event) => this.emit("close", event),
      frame: (event) => this.emit("frame", event),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  open(): void {
    this.#connection.start();
  }

  close(): void {
    this.#connection.stop();
  }

  wake(): void {
    this.#connection.wake();
  }

  /** The view of one room. `open` it when the user sees it. */
  room(id: number): EventsRoom {
    let view = this.#views.get(id);
    if (!view) {
      view = new EventsRoom(this.core, id, this, (frame) => this.#connection.send({ ...frame, room_id: id } as ClientFrame));
      this.#views.set(id, view);
    }
    return view;
  }

  /** @internal */
  drop(reason: string): void {
    this.#connection.drop(reason);
  }

  /** @internal */
  resume(rooms: Record<string, number>): boolean {
    return this.#connection.send({ type: "resume", rooms, ref: "resume" });
  }

  #received(frame: ServerFrame): void {
    switch (frame.type) {
      case "ready":
        return "rooms" in frame ? this.#ready(frame) : undefined;
      case "followed":
        return this.#followed(frame);
      case "room_added":
        return this.#added(frame);
      case "room_removed":
        return this.#removed(frame);
      case "marks":
        return this.#marked(frame);
      case "presence":
        return this.emit("presence", frame);
      case "profile":
        return this.emit("profile", frame.user);
      case "error":
        return this.#refused(frame);
      case "pong":
      case "unfollowed":
        return;
      default:
        if (frame.type === "message") this.#count(frame);
        if ("room_id" in frame) this.#views.get(frame.room_id)?.deliver(frame);
    }
  }

  #ready({ rooms, more }: EventsReady): void {
    this.#turn++;
    const states = new Map(rooms.map((room) => [room.id, room]));
    this.more = more;
    const behind: [string, number][] = [];
    for (const view of this.#views.values()) {
      const version = view.opened ? view.behind(states.get(view.roomId)?.version) : null;
      if (version !== null) behind.push([String(view.roomId), version]);
    }
    for (let start = 0; start < behind.length; start += MAX_RESUMED) {
      this.resume(Object.fromEntries(behind.slice(start, start + MAX_RESUMED)));
    }
    for (const view of this.#views.values()) if (view.opened) view.follow();
    this.#show(states);
  }

  #disconnected(): void {
    this.#turn++;
    for (const view of this.#views.values()) if (view.opened) view.disconnected();
  }

  #followed(frame: Followed): void {
    const { id, version, last_seq } = frame.room;
    // A room that `ready` left out, or that was joined by following: opening it reads it.
    if (!this.rooms.has(id)) {
      this.#change({ id, version, last_seq, last_read_seq: last_seq, unread: 0, mentions: 0, muted: false });
    }
    this.#views.get(id)?.followed(frame);
  }

  #added({ room }: RoomAdded): void {
    const { id, version, last_seq, last_read_seq, unread, muted } = room;
    this.#change({ id, version, last_seq, last_read_seq, unread, mentions: 0, muted });
  }

  #removed({ room_id, reason }: RoomRemoved): void {
    const rooms = new Map(this.rooms);
    rooms.delete(room_id);
    const messages = { removed: "You were removed", left: "You left", deleted: "The room was deleted" };
    const code = reason === "deleted" ? "no_such_room" : "removed";
    this.#views.get(room_id)?.end(code, messages[reason] ?? reason);
    this.#show(rooms);
  }

  #marked({ type: _, room_id: id, ...marks }: Marks): void {
    const known = this.rooms.get(id);
    if (known) this.#change({ ...known, ...marks });
  }

  /** Counts a message that arrived. */
  #count({ room_id, seq, version, sender, mentions }: ChangeFrame): void {
    const known = this.rooms.get(room_id);
    if (!known || seq <= known.last_seq) return;
    const own = sender === this.core.tokens.userId; // Sending reads.
    const last_read_seq = own ? seq : known.last_read_seq;
    const mentioned = mentions.includes(this.core.tokens.userId ?? 0) ? 1 : 0;
    this.#change({
      ...known,
      version,
      last_seq: seq,
      last_read_seq,
      unread: seq - last_read_seq,
      mentions: own ? 0 : known.mentions + mentioned,
    });
  }

  #change(state: RoomState): void {
    this.#show(new Map(this.rooms).set(state.id, state));
  }

  #show(rooms: ReadonlyMap<number, RoomState>): void {
    this.rooms = rooms;
    this.emit("rooms", rooms);
  }

  #refused(frame: ErrorFrame): void {
    const { ref, code, message, retry_after: delay = 1 } = frame;
    if (ref?.startsWith(FOLLOW)) return this.#followRefused(this.room(Number(ref.slice(FOLLOW.length))), frame);
    if (ref === "resume" && isTemporary(code)) return void this.#resumeAgain(delay);
    for (const view of this.#views.values()) if (view.outbox.refused(frame)) return;
    this.emit("error", { code, message, frame });
  }

  #followRefused(view: EventsRoom, { code, message, retry_after = 1 }: ErrorFrame): void {
    if (!isTemporary(code)) return view.end(code, message);
    const turn = this.#turn;
    after(retry_after + this.core.random(), () => {
      if (turn === this.#turn && view.opened) view.follow();
    });
  }

  async #resumeAgain(delay: number): Promise<void> {
    const turn = this.#turn;
    await sleep(delay + this.core.random());
    if (turn !== this.#turn) return;
    const waiting = [...this.#views.values()].filter((view) => view.waits);
    this.resume(Object.fromEntries(waiting.map((view) => [view.roomId, view.version ?? 0])));
  }
}

/** A room on the socket of all rooms. */
export class EventsRoom extends RoomView {
  /** Whether the user has it open. */
  opened = false;
  #followed = false;
  /** Whether a resume of this room is under way since `ready` or `followed`. */
  #asked = false;

  constructor(
    core: Core,
    readonly roomId: number,
    private readonly socket: EventsSocket,
    private readonly write: (frame: ClientFrame) => boolean,
  ) {
    super(core, `room/${roomId}`);
    socket.on("state", (state) => {
      if (this.opened && state !== "open") this.stateChanged(this.state);
    });
  }

  get state(): ConnectionState {
    if (this.stopped) return "stopped";
    if (!this.opened || this.#followed) return this.#followed ? "open" : "offline";
    return this.socket.state === "open" ? "connecting" : this.socket.state;
  }

  override get id(): number {
    return this.roomId;
  }

  /** Stops following the room. Messages stay, `open` continues where it ended. */
  close(): void {
    if (!this.opened) return;
    this.opened = this.#asked = false;
    this.write({ type: "unfollow" });
    // Followed again as a room in the list: it counts unread messages, and the user is not online in it.
    if (this.socket.rooms.has(this.roomId)) this.requestReplay(this.version ?? 0);
    if (this.#followed) this.disconnected();
  }

  transmit(frame: ClientFrame): boolean {
    return this.#followed && this.write(frame);
  }

  drop(reason: string): void {
    this.socket.drop(reason);
  }

  /** @internal */
  follow(): void {
    this.write({ type: "follow", ref: `${FOLLOW}${this.roomId}` });
  }

  /** @internal Returns the version to resume from, where the server has another one. */
  behind(version: number | undefined): number | null {
    this.#asked = false;
    if (this.version === null || this.version === version || !this.core.options.resume) return null;
    this.timeline.startReplay("mixed");
    this.#asked = true;
    return this.version;
  }

  /** @internal */
  get waits(): boolean {
    return this.timeline.replay !== null;
  }

  /** @internal */
  followed(frame: Followed): void {
    const again = this.#followed;
    if (!this.opened || again) return;
    this.#followed = true;
    this.enter(frame, false);
    // Followed again while the socket stayed open, or a change between `ready` and now.
    const { replay, version, loading } = this.timeline;
    if (loading || version === null) return this.stateChanged("open");
    // `enter` cancelled the replay that a frame between `follow` and now would have asked for.
    if (replay ? !this.#asked && this.core.options.resume : this.behind(frame.version) !== null) this.requestReplay(version);
    this.stateChanged("open");
  }

  /** @internal */
  deliver(frame: ServerFrame): void {
    if (this.opened) this.receive(frame);
  }

  /** @internal */
  disconnected(): void {
    this.#followed = this.#asked = false;
    this.leave();
    this.stateChanged(this.state);
  }

  /** @internal */
  end(code: string, message: string): void {
    if (this.#followed) this.disconnected();
    if (this.opened) this.refuse(code, message);
    this.opened = false;
    this.stateChanged(this.state);
  }

  protected start(): void {
    if (this.opened) return;
    this.opened = true;
    if (this.socket.state === "open") this.follow();
    else this.socket.open();
  }

  protected requestReplay(version: number): boolean {
    return this.socket.resume({ [this.roomId]: version });
  }
}
