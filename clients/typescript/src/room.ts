import { createConnection, type Connection, type CloseEvent, type ConnectionState } from "./connection.js";
import type { Core } from "./core.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import { RoomView, type RoomViewEvents } from "./room_view.js";
import type { FrameEvent } from "./socket.js";

export interface RoomEvents extends RoomViewEvents {
  frame: FrameEvent;
  close: CloseEvent;
}

/** A room with a socket of its own. */
export class Room extends RoomView<RoomEvents> {
  #connection: Connection;

  constructor(
    core: Core,
    path: string,
  ) {
    super(core, path);
    this.#connection = createConnection(core, {
      path: () => (this.#resumes ? `${path}?since=${this.version}` : path),
      received: (frame) => this.#received(frame),
      disconnected: () => this.leave(),
      stateChanged: (state) => this.stateChanged(state),
      stopped: (code, message) => this.refuse(code, message),
      closed: (event) => this.emit("close", event),
      frame: (event) => this.emit("frame", event),
    });
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Disconnects. Messages stay, `open` continues where it ended. */
  close(): void {
    this.#connection.stop();
  }

  /** Connects at once instead of waiting: the network is back, the page is visible again. */
  wake(): void {
    this.#connection.wake();
  }

  transmit(frame: ClientFrame): boolean {
    return this.#connection.send(frame);
  }

  drop(reason: string): void {
    this.#connection.drop(reason);
  }

  protected start(): void {
    this.#connection.start();
  }

  protected requestReplay(since: number): boolean {
    return this.transmit({ type: "resume", since, ref: "resume" });
  }

  get #resumes(): boolean {
    return this.version !== null && this.core.options.resume;
  }

  #received(frame: ServerFrame): void {
    if (frame.type === "ready" && "room" in frame) this.enter(frame, this.#resumes);
    else this.receive(frame);
  }
}
