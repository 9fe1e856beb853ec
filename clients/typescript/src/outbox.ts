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

interface Waiting {
  entry: Entry;
  state: SendState;
  /** Where it is in the storage, once it is there. */
  key: string;
  bytes: number;
  ack: Ack | null;
  /** Answers with `internal`. */
  failures: number;
}

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
export interface Outbox {
  /** Accepts a message. Throws ChatError `outbox_full` or `frame_too_big`. */
  add(text: string, options?: SendOptions): ViewMessage;
  /** Own messages that are not in the timeline yet, oldest first. */
  pending(): ViewMessage[];
  /** Starts sending, with what was not acknowledged on the last connection. */
  opened(): Promise<void>;
  /** Stops sending. What was in flight may have been stored: the `client_id` decides. */
  closed(): void;
  /** Loads what an earlier start of the program left, once the user is known. */
  restore(): Promise<void>;
  acknowledged(ack: Ack): void;
  /** Takes an own message that came from the room, which acknowledges it, too. */
  arrived(clientId: string | null): void;
  /** Drops what the timeline shows up to `end`. */
  settle(end: number): void;
  /** Handles an error frame. Returns whether it was about a message of this outbox. */
  refused(error: ErrorFrame): boolean;
  /** Ends all waiting messages as failed: the room will not take them. */
  failAll(code: string, message: string): void;
  /** Sends a failed message again. */
  retry(clientId: string): void;
  /** Gives up a message that is not in flight. */
  discard(clientId: string): void;
  /** Resolves when no message is queued or in flight. */
  flush(): Promise<void>;
}

const MAX_FRAME = 65_536;
const ACK_TIMEOUT = 30;
const MAX_RETRY_DELAY = 30;
const MAX_INTERNAL_ERRORS = 5;

export function createOutbox(core: Core, room: OutboxRoom): Outbox {
  const { options, random, storage, tokens, now, report } = core;
  let list: Waiting[] = [];
  let bytes = 0;
  let open = false;
  let timer: Timer | null = null;
  let failures = 0;
  let counter = 0;
  let restored: Promise<void> | null = null;
  let idle: (() => void)[] = [];
  /** Whose messages these are: they are not sent as another user's. */
  let user: number | null = null;

  const find = (clientId?: string | null) => list.find(({ entry }) => entry.client_id === clientId);
  const flying = () => list.find(({ state }) => state === "sending");
  const queued = () => list.find(({ state }) => state === "queued");
  const owner = () => (user ??= tokens.userId);
  const prefix = () => `outbox/${user}/${room.storageName}/`;

  function stopTimer(): void {
    cancel(timer);
    timer = null;
  }

  /** Sends the next message, when none is in flight. */
  function flow(): void {
    const next = queued();
    if (!next && !flying()) {
      failures = 0;
      for (const resolve of idle.splice(0)) resolve();
    }
    if (!next || !open || timer !== null || owner() !== tokens.userId || !room.transmit(frameOf(next.entry))) return;
    next.state = "sending";
    timer = after(ACK_TIMEOUT, () => room.drop("no answer to a message"));
    room.changed();
  }

  function sent(one: Waiting): void {
    if (one.state === "sending") stopTimer();
    one.state = "sent";
    one.entry.error = null;
    failures = 0;
    forget(one);
    flow();
  }

  function fail(one: Waiting, code: string, message: string): void {
    one.state = "failed";
    one.entry.error = { code, message };
    void save(one);
    report(code, message);
  }

  function remove(one: Waiting): void {
    list = list.filter((other) => other !== one);
    bytes -= one.bytes;
    forget(one);
    flow();
  }

  // Storage: a key for each message, so that two pages never overwrite each other's.

  async function load(): Promise<void> {
    const found: Waiting[] = [];
    for (const key of (await storage.keys(prefix())).sort()) {
      const entry = parsed(await storage.get(key));
      if (entry && !find(entry.client_id)) found.push(waiting(entry, key));
    }
    const added = list;
    list = [...found, ...added];
    for (const one of found) bytes += one.bytes;
    for (const one of added) void save(one);
    room.changed();
  }

  async function save(one: Waiting): Promise<void> {
    if (owner() === null) return; // `load` saves it.
    // Sorted as sent, also over a restart.
    one.key ||= `${prefix()}${one.entry.at}-${String(counter++).padStart(6, "0")}`;
    await storage.set(one.key, JSON.stringify(one.entry));
    // Acknowledged or discarded while it was written.
    if (one.state === "sent" || !list.includes(one)) forget(one);
  }

  function forget({ key }: Waiting): void {
    if (key) void storage.remove(key);
  }

  function restore(): Promise<void> {
    return owner() === null ? Promise.resolve() : (restored ??= load());
  }

  function view({ entry, state, ack }: Waiting): ViewMessage {
    const { client_id, text, at, reply_to, error } = entry;
    const sender = owner() ?? 0;
    return {
      key: keyOf(sender, client_id, null),
      id: ack && ack.id,
      seq: ack && ack.seq,
      version: ack && ack.version,
      room: null,
      room_id: ack ? ack.room_id : 0,
      sender,
      username: tokens.username,
      receiver: null,
      content: text,
      timestamp: new Date(at).toISOString(),
      edited_at: null,
      deleted: false,
      reply_to,
      client_id,
      attachments: [],
      reactions: [],
      mentions: [],
      mentions_all: false,
      quote: null,
      pinned: false,
      state,
      error,
    };
  }

  return {
    restore,
    pending: () => list.map(view),
    add(text, { replyTo, attachments = [] } = {}) {
      const client_id = randomId();
      const one = waiting({ client_id, text, reply_to: replyTo ?? null, attachments, at: now(), error: null }, "");
      if (one.bytes > MAX_FRAME) throw new ChatError("frame_too_big", `A message has at most ${MAX_FRAME} bytes`);
      if (list.length >= options.maxQueued || bytes + one.bytes > options.maxQueuedBytes) {
        throw new ChatError("outbox_full", "Too many unsent messages");
      }
      list.push(one);
      bytes += one.bytes;
      void save(one);
      flow();
      room.changed();
      return view(one);
    },
    async opened() {
      await restore();
      open = true;
      failures = 0;
      flow();
    },
    closed() {
      open = false;
      stopTimer();
      const one = flying();
      if (!one) return;
      one.state = "queued";
      if (!options.resend) fail(one, "connection_lost", "Connection ended");
    },
    acknowledged(ack) {
      const one = find(ack.client_id);
      if (!one) return;
      one.ack = ack;
      sent(one);
    },
    arrived(clientId) {
      const one = clientId === null ? undefined : find(clientId);
      if (!one) return;
      sent(one);
      if (!one.ack) remove(one);
    },
    settle(end) {
      for (const one of list) if (one.ack && one.ack.seq <= end) remove(one);
    },
    refused({ ref, code, message, retry_after }) {
      // The server may not have read the `ref` of a large frame; the client's other frames are short.
      // Any other error without `ref` precedes a close: the message goes again on the next socket.
      const one = ref ? find(ref) : /^(frame_too_big|bad_frame|invalid|internal)$/.test(code) || isTemporary(code) ? flying() : null;
      if (one?.state !== "sending") return false;
      stopTimer();
      if (code === "internal") one.failures++;
      if (isTemporary(code) && one.failures < MAX_INTERNAL_ERRORS) {
        one.state = "queued";
        const delay = retry_after ?? Math.min(MAX_RETRY_DELAY, 2 ** failures++);
        timer = after(delay + random() / 2, () => {
          timer = null;
          flow();
        });
      } else {
        fail(one, code, message);
        flow();
      }
      room.changed();
      return true;
    },
    failAll(code, message) {
      for (const one of list) if (!one.ack) fail(one, code, message);
      flow();
    },
    retry(clientId) {
      const one = find(clientId);
      if (one?.state !== "failed") return;
      one.state = "queued";
      one.entry.error = null;
      void save(one);
      flow();
      room.changed();
    },
    discard(clientId) {
      const one = find(clientId);
      if (!one || one.state === "sending") return;
      remove(one);
      room.changed();
    },
    async flush() {
      if (queued() || flying()) await new Promise<void>((resolve) => idle.push(resolve));
    },
  };
}

function waiting(entry: Entry, key: string): Waiting {
  const bytes = byteLength(JSON.stringify(frameOf(entry)));
  return { entry, state: entry.error ? "failed" : "queued", key, bytes, ack: null, failures: 0 };
}

function frameOf({ text, client_id, reply_to, attachments }: Entry): ClientFrame {
  return {
    type: "message",
    message: text,
    client_id,
    ref: client_id,
    ...(reply_to !== null && { reply_to }),
    ...(attachments.length && { attachments }),
  };
}

function parsed(value: string | null): Entry | null {
  try {
    return JSON.parse(value!);
  } catch {
    return null;
  }
}
