import { closeRule } from "./close_codes.js";
import type { Core } from "./core.js";
import { ApiError, ChatError } from "./errors.js";
import type { ClientFrame, ErrorFrame, ServerFrame } from "./frames.js";
import { after, cancel, type Timer } from "./platform.js";
import { Backoff } from "./reconnect.js";
import { LOST, openSocket, type FrameEvent, type Socket } from "./socket.js";

/** `offline`: not opened, or waiting for the next attempt. `stopped`: no further attempt. */
export type ConnectionState = "offline" | "connecting" | "open" | "stopped";

export interface CloseEvent {
  code: number;
  /** The `code` of the error frame before the close. */
  reason: string;
  reconnects: boolean;
  explanation: string;
}

export interface ConnectionOwner {
  /** The path and query of the socket. */
  path(): string;
  received(frame: ServerFrame): void;
  /** The connection is gone; `open` again after the next `ready`. */
  disconnected(): void;
  stateChanged(state: ConnectionState): void;
  /** No further attempt: the server refused for good. */
  stopped(code: string, message: string): void;
  closed(event: CloseEvent): void;
  frame(event: FrameEvent): void;
}

/** Keeps a socket connected: connects, reconnects as the close code says, renews the sign-in. */
export interface Connection {
  readonly state: ConnectionState;
  start(): void;
  /** Closes without a further attempt, until `start`. */
  stop(): void;
  /** Connects at once, or asks an open connection for a sign of life: the network may be back. */
  wake(): void;
  /** Returns whether the frame was handed to the network. */
  send(frame: ClientFrame): boolean;
  /** Ends a connection that does not answer; a new one follows. */
  drop(reason: string): void;
}

const UNAUTHENTICATED = 4401;
const MAX_REFUSALS = 3;

export function createConnection(core: Core, owner: ConnectionOwner): Connection {
  const { tokens } = core;
  const backoff = new Backoff(core.random);
  let state: ConnectionState = "offline";
  let socket: Socket | null = null;
  let timer: Timer | null = null;
  let attempts = 0;
  /** The token that the server refused, and how often in a row it refused one. */
  let refused: string | null = null;
  let refusals = 0;
  /** The last frame, if it was an error: it explains a close. */
  let lastError: ErrorFrame | null = null;

  function change(next: ConnectionState): void {
    if (state === next) return;
    state = next;
    owner.stateChanged(state);
  }

  function cancelTimer(): void {
    cancel(timer);
    timer = null;
  }

  function wait(atLeast?: number | null): void {
    timer = after(backoff.next(atLeast ?? 0), wake);
  }

  async function connect(): Promise<void> {
    const attempt = ++attempts;
    change("connecting");
    try {
      if (refused) await tokens.renew(refused);
      const access = await tokens.access();
      if (attempt !== attempts) return;
      lastError = refused = null;
      const opened = openSocket(core, core.url.replace(/^http/, "ws") + owner.path(), access, {
        received,
        closed: (code, reason) => {
          if (socket === opened) closed(opened, code, reason);
        },
        frame: owner.frame,
      });
      socket = opened;
    } catch (error) {
      if (attempt === attempts) failed(error);
    }
  }

  function received(frame: ServerFrame): void {
    lastError = frame.type === "error" ? frame : null;
    // Not at `ready`: a connection that ends soon after each one would be made again without a pause.
    if (/ack|pong/.test(frame.type)) backoff.reset();
    if (frame.type === "ready") {
      refusals = 0;
      tokens.username = frame.user.username;
      change("open");
    }
    owner.received(frame);
  }

  function closed({ access }: Socket, code: number, reason: string): void {
    socket = null;
    const attempt = attempts;
    const cause = lastError?.code ?? reason;
    const rule = closeRule(code, cause);
    const explanation = rule.explanation + (lastError ? `: ${lastError.message}` : "");
    if (code === UNAUTHENTICATED) {
      refused = access;
      refusals++;
    }
    // A server that refuses new tokens, too, is asked no further.
    const reconnects = rule.reconnect !== "no" && refusals <= MAX_REFUSALS;
    change(reconnects ? "offline" : "stopped");
    owner.disconnected();
    owner.closed({ code, reason: cause, reconnects, explanation });
    if (attempt !== attempts) return; // A handler stopped or started it.
    if (reconnects) return wait(lastError?.retry_after);
    owner.stopped(cause || "closed", explanation);
    // The sign-in ends here, too, unless another one has replaced it.
    if (cause === "session_ended") tokens.renew(access).catch(() => {});
  }

  /** No token, no network, or an address that the browser refuses. */
  function failed(error: unknown): void {
    const attempt = attempts;
    const { code = "no_socket", temporary, retryAfter } = error as Partial<ApiError>;
    if (!temporary) {
      change("stopped");
      return owner.stopped(code, error instanceof ChatError ? error.detail : String(error));
    }
    core.report(code, String(error), error);
    change("offline");
    if (attempt === attempts) wait(retryAfter);
  }

  function wake(): void {
    if (state === "open") socket?.ping();
    if (timer === null) return;
    cancelTimer();
    void connect();
  }

  return {
    get state() {
      return state;
    },
    wake,
    start() {
      if (socket || timer !== null || state === "connecting") return;
      refusals = 0;
      backoff.reset();
      void connect();
    },
    stop() {
      attempts++;
      cancelTimer();
      const open = socket;
      socket = null;
      open?.end(1000, "");
      change("offline");
      if (open) owner.disconnected();
    },
    send: (frame) => state === "open" && socket!.send(frame),
    drop: (reason) => socket?.end(LOST, reason),
  };
}
