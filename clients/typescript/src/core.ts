import type { ChatError } from "./errors.js";
import type { SocketClass } from "./platform.js";
import type { Call } from "./rest.js";
import type { SafeStorage } from "./storage/safe.js";
import type { Tokens } from "./tokens.js";

/** What the parts of one client share. */
export interface Core {
  readonly url: string;
  readonly WebSocket: SocketClass;
  readonly storage: SafeStorage;
  readonly random: () => number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly options: Limits;
  readonly tokens: Tokens;
  readonly rest: Call;
  report: Report;
}

export type Report = (code: ChatError["code"], message: string, cause?: unknown) => void;

export interface Limits {
  /** Messages of a room that wait to be sent, and their bytes. */
  maxQueued: number;
  maxQueuedBytes: number;
  /** Messages of a room in memory. */
  keep: number;
  /** Seconds between two pings, and until the answer. */
  pingInterval: number;
  pongTimeout: number;
  /** Tests of the delivery promise switch these off, and must then fail. */
  resume: boolean;
  resend: boolean;
}
