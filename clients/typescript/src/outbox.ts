import type { Core } from "./core.js";
import { ChatError, isTemporary } from "./errors.js";
import type { Ack, ClientFrame, ErrorFrame } from "./frames.js";
import { keyOf, type SendState, type ViewMessage } from "./message.js";
import { after, byteLength, cancel, randomId, type Timer } from "./platform.js";

export interface SendOptions {
  /** Id of a message of this room. */
  replyTo?: number;
  /** Ids of uploaded files. */
  attachments?: number[];
}

interface Entry {
  client_id: string;
  text: string;
  reply_to: number | null;
  attachments: number[];
  /** Milliseconds since the epoch, by the clock of this client. */
  at: number;
  error: { code: string; message: string } | null;
}

interface Waiting extends Entry {
  state: SendState;
  storageKey: string;
  bytes: number;
  ack: Ack | null;
}

const MAX_FRAME = 65_536;
const ACK_TIMEOUT = 30;
const MAX_RETRY_DELAY = 30;
const MAX_INTERNAL_ERRORS = 5;

/** What the outbox needs of its room. */
export interface OutboxRoom {
  /** Names the room in the storage. */
  readonly storageName: string;
  transmit(frame: ClientFrame): boolean;
  /** Ends a connection that does not answer. */
  drop(reason: string): void;
  changed(): void;
}

/**
 * Keeps messages until the server has acknowledged them, also over a restart.
 *
 * One is in flight at a time: with several, a refusal of the first would let the second overtake it.
 */
export class Outbox {
  #entries: Waiting[] = [];
  #bytes = 0;
  #open = false;
  #timer: Timer | null = null;
  #failures = 0;
  #counter = 0;
  #restored: Promise<void> | null = null;
  #idle: (() => void)[] = [];

  constructor(
    private readonly core: Core,
    private readonly room: OutboxRoom,
  ) {}

  /** Accepts a message. Throws ChatError `outbox_full` or `frame_too_big`. */
  add(text: string, { replyTo, attachments = [] }: SendOptions = {}): ViewMessage {
    const entry: Entry = {
      client_id: randomId(),
      text,
      reply_to: replyTo ?? null,
      attachments,
      at: this.core.now(),
      error: null,
    };
    const waiting = this.#waiting(entry);
    this.#checkBounds(waiting);
    this.#insert(waiting);
    void this.#save(waiting);
    this.#flow();
    this.room.changed();
    return this.#view(waiting);
  }

  /** Own messages that are not in the timeline yet, oldest first. */
  get pending(): ViewMessage[] {
    return this.#entries.map((entry) => this.#view(entry));
  }

  /** Starts sending, with what was not acknowledged on the last connection. */
  async opened(): Promise<void> {
    await this.restore();
    this.#open = true;
    this.#failures = 0;
    this.#flow();
  }

  /** Stops sending. What was in flight may have been stored: the `client_id` decides. */
  closed(): void {
    this.#open = false;
    this.#stopTimer();
    const flying = this.#flying();
    if (!flying) return;
    flying.state = "queued";
    if (!this.core.options.resend) this.#fail(flying, "connection_lost", "The connection ended");
    this.room.changed();
  }

  /** Loads what an earlier start of the program left, once the user is known. */
  restore(): Promise<void> {
    if (this.core.userId === null) return Promise.resolve();
    return (this.#restored ??= this.#load());
  }

  acknowledged(ack: Ack): void {
    const entry = this.#find(ack.client_id);
    if (!entry) return;
    entry.ack = ack;
    this.#sent(entry);
  }

  /** Drops what the timeline shows now. An own message from the room also acknowledges. */
  settle(sender: number, clientId: string | null, complete: number): void {
    const entry = sender === this.core.userId && clientId !== null ? this.#find(clientId) : null;
    if (entry && entry.state !== "sent") this.#sent(entry);
    if (entry && !entry.ack) this.#remove(entry);
    for (const one of [...this.#entries]) {
      if (one.ack && one.ack.seq <= complete) this.#remove(one);
    }
  }

  /** Handles an error frame. Returns whether it was about a message of this outbox. */
  refused(error: ErrorFrame): boolean {
    // The server may not have read the `ref` of a large frame; the client's other frames are short.
    const entry = error.ref === undefined ? this.#flying() : this.#find(error.ref);
    if (!entry || entry.state !== "sending") return false;
    this.#stopTimer();
    const internal = error.code === "internal" && this.#failures >= MAX_INTERNAL_ERRORS;
    if (isTemporary(error.code) && !internal) {
      entry.state = "queued";
      const delay = error.retry_after ?? Math.min(MAX_RETRY_DELAY, 2 ** this.#failures);
      this.#failures = Math.min(this.#failures + 1, 16);
      this.#timer = after(delay + this.core.random() * 0.5, () => {
        this.#timer = null;
        this.#flow();
      });
    } else {
      this.#fail(entry, error.code, error.message);
      this.#flow();
    }
    this.room.changed();
    return true;
  }

  /** Ends all waiting messages as failed: the room will not take them. */
  failAll(code: string, message: string): void {
    for (const entry of this.#entries) if (!entry.ack) this.#fail(entry, code, message);
    this.room.changed();
  }

  /** Sends a failed message again. */
  retry(clientId: string): void {
    const entry = this.#find(clientId);
    if (entry?.state !== "failed") return;
    entry.state = "queued";
    entry.error = null;
    void this.#save(entry);
    this.#flow();
    this.room.changed();
  }

  /** Gives up a message that is not in flight. */
  discard(clientId: string): void {
    const entry = this.#find(clientId);
    if (!entry || entry.state === "sending") return;
    this.#remove(entry);
    this.room.changed();
  }

  /** Resolves when no message is queued or in flight. */
  async flush(): Promise<void> {
    if (this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  get #busy(): boolean {
    return this.#entries.some((entry) => entry.state === "queued" || entry.state === "sending");
  }

  #flow(): void {
    if (!this.#busy) {
      this.#failures = 0;
      for (const resolve of this.#idle.splice(0)) resolve();
    }
    if (!this.#open || this.#timer !== null || this.#flying()) return;
    const entry = this.#entries.find((one) => one.state === "queued");
    if (!entry || !this.room.transmit(frameOf(entry))) return;
    entry.state = "sending";
    this.#timer = after(ACK_TIMEOUT, () => this.room.drop("no answer to a message"));
    this.room.changed();
  }

  #sent(entry: Waiting): void {
    if (entry.state === "sending") this.#stopTimer();
    entry.state = "sent";
    entry.error = null;
    this.#failures = 0;
    void this.#forget(entry);
    this.#flow();
  }

  #fail(entry: Waiting, code: string, message: string): void {
    entry.state = "failed";
    entry.error = { code, message };
    void this.#save(entry);
    this.core.report(code, message);
  }

  #flying(): Waiting | undefined {
    return this.#entries.find((entry) => entry.state === "sending");
  }

  #find(clientId: string | undefined): Waiting | undefined {
    return this.#entries.find((entry) => entry.client_id === clientId);
  }

  #stopTimer(): void {
    cancel(this.#timer);
    this.#timer = null;
  }

  // Bounds

  #checkBounds(entry: Waiting): void {
    const { maxQueued, maxQueuedBytes } = this.core.options;
    if (byteLength(JSON.stringify(frameOf(entry))) > MAX_FRAME) {
      throw new ChatError("frame_too_big", `A message has at most ${MAX_FRAME} bytes`);
    }
    if (this.#entries.length >= maxQueued || this.#bytes + entry.bytes > maxQueuedBytes) {
      throw new ChatError("outbox_full", "Too many messages wait to be sent. Try again when they are");
    }
  }

  #insert(entry: Waiting): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes;
  }

  #remove(entry: Waiting): void {
    this.#entries = this.#entries.filter((one) => one !== entry);
    this.#bytes -= entry.bytes;
    void this.#forget(entry);
    this.#flow();
  }

  // Storage: a key for each message, so that two pages never overwrite each other's.

  async #load(): Promise<void> {
    const stored: Waiting[] = [];
    try {
      for (const key of (await this.core.storage.keys(this.#prefix)).sort()) {
        const value = await this.core.storage.get(key);
        const entry = value === null ? null : parsed(value);
        if (entry && !this.#find(entry.client_id)) stored.push({ ...this.#waiting(entry), storageKey: key });
      }
    } catch (error) {
      this.core.report("storage_failed", `Unsent messages were not read: ${error}`);
    }
    this.#entries.unshift(...stored);
    for (const entry of stored) this.#bytes += entry.bytes;
    for (const entry of this.#entries.slice(stored.length)) void this.#save(entry);
    if (stored.length) this.room.changed();
  }

  async #save(entry: Waiting): Promise<void> {
    if (this.core.userId === null) return; // `#load` saves it.
    entry.storageKey ||= `${this.#prefix}${String(entry.at).padStart(15, "0")}-${this.#count()}-${entry.client_id}`;
    const { client_id, text, reply_to, attachments, at, error } = entry;
    try {
      await this.core.storage.set(
        entry.storageKey,
        JSON.stringify({ client_id, text, reply_to, attachments, at, error } satisfies Entry),
      );
      // Acknowledged or discarded while it was written.
      if (entry.state === "sent" || !this.#entries.includes(entry)) await this.#forget(entry);
    } catch (error) {
      this.core.report("storage_failed", `A message would not survive a restart: ${error}`);
    }
  }

  async #forget(entry: Waiting): Promise<void> {
    if (!entry.storageKey) return;
    try {
      await this.core.storage.remove(entry.storageKey);
    } catch (error) {
      this.core.report("storage_failed", `A sent message stays in the storage: ${error}`);
    }
  }

  get #prefix(): string {
    return `outbox/${this.core.userId}/${this.room.storageName}/`;
  }

  #count(): string {
    return String(this.#counter++).padStart(6, "0");
  }

  #waiting(entry: Entry): Waiting {
    const bytes = byteLength(JSON.stringify(entry));
    return { ...entry, state: entry.error ? "failed" : "queued", storageKey: "", bytes, ack: null };
  }

  #view(entry: Waiting): ViewMessage {
    const { ack, client_id } = entry;
    const sender = this.core.userId ?? 0;
    return {
      key: keyOf({ sender, client_id, id: null }),
      id: ack?.id ?? null,
      seq: ack?.seq ?? null,
      version: ack?.version ?? null,
      room: null,
      room_id: ack?.room_id ?? 0,
      sender,
      username: this.core.username ?? "",
      receiver: null,
      content: entry.text,
      timestamp: new Date(entry.at).toISOString(),
      edited_at: null,
      deleted: false,
      reply_to: entry.reply_to,
      client_id,
      attachments: [],
      reactions: [],
      mentions: [],
      mentions_all: false,
      quote: null,
      pinned: false,
      state: entry.state,
      error: entry.error,
    };
  }
}

function frameOf({ text, client_id, reply_to, attachments }: Entry): ClientFrame {
  return {
    type: "message",
    message: text,
    client_id,
    ref: client_id,
    ...(reply_to !== null && { reply_to }),
    ...(attachments.length > 0 && { attachments }),
  };
}

function parsed(value: string): Entry | null {
  try {
    const entry = JSON.parse(value) as Entry;
    return typeof entry.client_id === "string" && typeof entry.text === "string" ? entry : null;
  } catch {
    return null;
  }
}
