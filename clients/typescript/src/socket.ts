import type { Core } from "./core.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import { after, cancel } from "./platform.js";

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

/** One WebSocket, from opening to closing. */
export interface Socket {
  /** The token that it is signed in with. */
  readonly access: string;
  /** Returns whether the frame was handed to the network. */
  send(frame: ClientFrame): boolean;
  /** Ends the connection and reports `code`. A dead network would report nothing for minutes. */
  end(code: number, reason: string): void;
  /** Asks for a sign of life now. */
  ping(): void;
}

const READY_TIMEOUT = 30;
export const LOST = 1006;

/** Opens a socket. It reports its close once, also that of a dead network. */
export function openSocket(core: Core, url: string, access: string, owner: SocketOwner): Socket {
  const { now, options, report, tokens } = core;
  const socket = new core.WebSocket(url, ["bearer", access]);
  let ended = false;
  let waiting = true;
  let timer = after(READY_TIMEOUT, () => end(LOST, "no answer"));

  function end(code: number, reason: string): void {
    if (ended) return;
    ended = true;
    cancel(timer);
    try {
      socket.close(1000);
    } catch {
      // Not open yet, or closed.
    }
    owner.closed(code, reason);
  }

  function send(frame: ClientFrame): boolean {
    try {
      if (ended) return false;
      socket.send(JSON.stringify(frame));
    } catch {
      return false; // Still connecting, or closing.
    }
    const shown = frame.token ? { ...frame, token: "…" } : frame;
    owner.frame({ direction: "out", frame: shown, raw: JSON.stringify(shown), at: now() });
    return true;
  }

  function ping(): void {
    cancel(timer);
    if (ended) return;
    waiting = true;
    timer = after(options.pongTimeout, () => end(LOST, "no answer to a ping"));
    send({ type: "ping" });
    // Brings a renewed token before the old one expires. After a failure the next ping tries again,
    // and at the latest the server closes with 4401.
    tokens.access().then(
      (renewed) => {
        if (renewed !== access && send({ type: "ping", token: renewed })) access = renewed;
      },
      () => {},
    );
  }

  function receive(data: unknown): void {
    if (ended) return;
    if (waiting) {
      // Other frames do not put off the next ping: it renews the token, also in a busy room.
      waiting = false;
      cancel(timer);
      timer = after(options.pingInterval, ping);
    }
    const raw = String(data);
    const frame = parsed(raw);
    owner.frame({ direction: "in", frame, raw, at: now() });
    if (!frame) return report("unreadable_frame", `The server sent no frame`);
    try {
      owner.received(frame);
    } catch (error) {
      report("unreadable_frame", `Frame "${frame.type}": ${error}`, error);
    }
  }

  socket.onmessage = ({ data }: { data: unknown }) => receive(data);
  socket.onclose = ({ code, reason }: { code: number; reason: string }) => end(code, reason);
  socket.onerror = () => {}; // `close` follows.

  return {
    get access() {
      return access;
    },
    send,
    end,
    ping,
  };
}

function parsed(raw: string): ServerFrame | null {
  try {
    const frame = JSON.parse(raw);
    return typeof frame.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
