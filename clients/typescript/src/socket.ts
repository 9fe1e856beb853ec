import type { Core } from "./core.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import { after, cancel, type SocketLike, type Timer } from "./platform.js";

export interface FrameEvent {
  direction: "in" | "out";
  /** null for a text that is no frame. */
  frame: ServerFrame | ClientFrame | null;
  /** The text; a token in it is replaced by `…`. */
  raw: string;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface SocketOwner {
  received(frame: ServerFrame): void;
  closed(code: number, reason: string): void;
  frame(event: FrameEvent): void;
}

const READY_TIMEOUT = 30;
export const LOST = 1006;

/** One WebSocket, from opening to closing. It reports its close once, also of a dead network. */
export class Socket {
  #socket: SocketLike;
  #ended = false;
  #timer: Timer;
  /** The token that this socket is signed in with. */
  #access: string;

  constructor(
    private readonly core: Core,
    url: string,
    access: string,
    private readonly owner: SocketOwner,
  ) {
    this.#access = access;
    this.#socket = new core.WebSocket(url, ["bearer", access]);
    this.#socket.onmessage = ({ data }: { data: unknown }) => this.#receive(data);
    this.#socket.onclose = ({ code, reason }: { code: number; reason: string }) => this.end(code, reason);
    this.#socket.onerror = () => {}; // `close` follows.
    this.#timer = after(READY_TIMEOUT, () => this.end(LOST, "no answer"));
  }

  /** Returns whether the frame was handed to the network. */
  send(frame: ClientFrame): boolean {
    if (this.#ended) return false;
    const raw = JSON.stringify(frame);
    try {
      this.#socket.send(raw);
    } catch {
      return false; // Still connecting, or closing.
    }
    const shown = frame.token === undefined ? frame : { ...frame, token: "…" };
    this.owner.frame({ direction: "out", frame: shown, raw: JSON.stringify(shown), at: this.core.now() });
    return true;
  }

  /** Ends the connection and reports `code`. A dead network would report nothing for minutes. */
  end(code: number, reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    cancel(this.#timer);
    this.#socket.onmessage = this.#socket.onclose = null;
    try {
      this.#socket.close(1000);
    } catch {
      // Not open yet, or closed.
    }
    this.owner.closed(code, reason);
  }

  /** Asks for a sign of life now. */
  ping(): void {
    cancel(this.#timer);
    if (this.#ended) return;
    this.send({ type: "ping" });
    void this.#renew();
    this.#timer = after(this.core.options.pongTimeout, () => this.end(LOST, "no answer to a ping"));
  }

  /** Brings a renewed token before the old one expires. */
  async #renew(): Promise<void> {
    try {
      const access = await this.core.tokens.access();
      if (access === this.#access || !this.send({ type: "ping", token: access })) return;
      this.#access = access;
    } catch {
      // Tried again at the next ping. At the latest the server closes with 4401.
    }
  }

  #receive(data: unknown): void {
    if (this.#ended) return;
    cancel(this.#timer);
    this.#timer = after(this.core.options.pingInterval, () => this.ping());
    const raw = typeof data === "string" ? data : "";
    const frame = parsed(raw);
    this.owner.frame({ direction: "in", frame, raw, at: this.core.now() });
    if (!frame) return this.core.report("unreadable_frame", `The server sent ${raw.length} characters that are no frame`);
    try {
      this.owner.received(frame);
    } catch (error) {
      this.core.report("unreadable_frame", `A frame "${frame.type}" lacks a member: ${(error as Error).message}`, error);
    }
  }
}

function parsed(raw: string): ServerFrame | null {
  try {
    const frame = JSON.parse(raw) as ServerFrame | null;
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
