import { closeRule, type CloseRule } from "./close_codes.js";
import type { Core } from "./core.js";
import { ApiError, ChatError } from "./errors.js";
import type { ClientFrame, ErrorFrame, ServerFrame } from "./frames.js";
import { after, cancel, type Timer } from "./platform.js";
import { Backoff } from "./reconnect.js";
import { LOST, Socket, type FrameEvent } from "./socket.js";

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

const MAX_SIGN_IN_REFUSALS = 3;

/** Keeps a socket connected: connects, reconnects as the close code says, renews the sign-in. */
export class Connection {
  state: ConnectionState = "offline";
  #socket: Socket | null = null;
  #attempts = 0;
  #timer: Timer | null = null;
  #backoff: Backoff;
  #refusals = 0;
  #error: ErrorFrame | null = null;
  #access = "";

  constructor(
    private readonly core: Core,
    private readonly owner: ConnectionOwner,
  ) {
    this.#backoff = new Backoff(core.random);
  }

  start(): void {
    if (this.#socket || this.#timer !== null || this.state === "connecting") return;
    this.#refusals = 0;
    this.#backoff.reset();
    void this.#connect();
  }

  /** Closes without a further attempt, until `start`. */
  stop(): void {
    this.#attempts++;
    this.#cancelTimer();
    const socket = this.#socket;
    this.#socket = null;
    socket?.end(1000, "");
    this.#set("offline");
    if (socket) this.owner.disconnected();
  }

  /** Connects at once, or asks an open connection for a sign of life: the network may be back. */
  wake(): void {
    if (this.#socket) return this.state === "open" ? this.#socket.ping() : undefined;
    if (this.#timer === null) return;
    this.#cancelTimer();
    void this.#connect();
  }

  send(frame: ClientFrame): boolean {
    return this.state === "open" && this.#socket !== null && this.#socket.send(frame);
  }

  /** Ends a connection that does not answer; a new one follows. */
  drop(reason: string): void {
    this.#socket?.end(LOST, reason);
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempts;
    this.#set("connecting");
    try {
      this.#access = await this.core.tokens.access();
      if (attempt !== this.#attempts) return;
      this.#error = null;
      const url = this.core.url.replace(/^http/, "ws") + this.owner.path();
      const socket: Socket = new Socket(this.core, url, this.#access, {
        received: (frame) => this.#received(frame),
        closed: (code, reason) => this.#closed(socket, code, reason),
        frame: (event) => this.owner.frame(event),
      });
      this.#socket = socket;
    } catch (error) {
      if (attempt === this.#attempts) this.#failed(error);
    }
  }

  #received(frame: ServerFrame): void {
    this.#error = frame.type === "error" ? frame : null;
    if (frame.type === "ready") {
      this.#backoff.reset();
      this.#refusals = 0;
      this.core.identify(frame.user);
      this.#set("open");
    }
    this.owner.received(frame);
  }

  #closed(socket: Socket, code: number, reason: string): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    const error = this.#error;
    const rule = closeRule(code, error?.code ?? reason);
    const reconnects = rule.reconnect !== "no" && this.#maySignIn(rule);
    this.#set(reconnects ? "offline" : "stopped");
    this.owner.disconnected();
    this.owner.closed({ code, reason: error?.code ?? reason, reconnects, explanation: explain(rule, error) });
    if (reconnects) this.#retry(rule, error?.retry_after);
    else this.owner.stopped(error?.code ?? (reason || "closed"), explain(rule, error));
  }

  /** A server that refuses new tokens, too, is asked no further. */
  #maySignIn(rule: CloseRule): boolean {
    return rule.reconnect !== "with a new token" || ++this.#refusals <= MAX_SIGN_IN_REFUSALS;
  }

  #retry(rule: CloseRule, retryAfter = 0): void {
    const refused = rule.reconnect === "with a new token" ? this.#access : null;
    this.#wait(retryAfter, async () => {
      try {
        if (refused !== null) await this.core.tokens.renew(refused);
      } catch (error) {
        return this.#failed(error);
      }
      await this.#connect();
    });
  }

  /** No token, no network, or an address that the browser refuses. */
  #failed(error: unknown): void {
    if (error instanceof ApiError && error.temporary) {
      this.core.report(error.code, error.detail);
      this.#set("offline");
      return this.#wait(error.retryAfter ?? 0, () => this.#connect());
    }
    const { code, message } = error instanceof ChatError ? error : { code: "no_socket", message: String(error) };
    this.#set("stopped");
    this.owner.stopped(code, message);
  }

  #wait(atLeast: number, run: () => Promise<void>): void {
    const attempt = this.#attempts;
    this.#timer = after(this.#backoff.next(atLeast), () => {
      this.#timer = null;
      if (attempt === this.#attempts) void run();
    });
  }

  #cancelTimer(): void {
    cancel(this.#timer);
    this.#timer = null;
  }

  #set(state: ConnectionState): void {
    if (this.state === state) return;
    this.state = state;
    this.owner.stateChanged(state);
  }
}

function explain(rule: CloseRule, error: ErrorFrame | null): string {
  return error ? `${rule.explanation}: ${error.message}` : rule.explanation;
}
