import type { StoredMessage } from "./message.js";

/**
 * How a replay arrives: `ordered` in place of live frames, as after connecting with `since`, or
 * `mixed` with live frames, as after a `resume` frame.
 */
export type Replay = "ordered" | "mixed";

/**
 * The messages of one room in order and without a gap.
 *
 * `items` are contiguous by `seq`. Messages beyond the next `seq` wait until those between have
 * arrived, so a view never shows a hole.
 */
export interface Timeline {
  /** The version to resume from: everything up to it was received. null before the first history. */
  version: number | null;
  readonly replay: Replay | null;
  /** Whether history is being loaded. */
  readonly loading: boolean;
  readonly items: StoredMessage[];
  /** How many changes of messages before the first item were left out. */
  readonly outside: number;
  /** The `seq` up to which `items` are complete. */
  readonly end: number;
  /** Starts waiting for history, where nothing is known yet or too much was missed. */
  load(version: number): void;
  startReplay(replay: Replay): void;
  /** Takes the newest page of history; `lastSeq` is the end of an empty room. */
  loaded(page: StoredMessage[], lastSeq: number): void;
  /** Takes a page before the first message. */
  prepend(page: StoredMessage[]): void;
  /** Takes a page after `end`. What the server leaves out does not exist. */
  fill(page: StoredMessage[]): void;
  /**
   * Takes a change from the socket. Returns whether versions before it are missing: either a later
   * change of the same message replaced them, or frames were lost. A resume answers which.
   */
  receive(message: StoredMessage): boolean;
  /** Ends a complete replay. Returns whether versions are missing after it, as `receive` does. */
  resumed(to: number): boolean;
  /** Whether messages are missing that no replay under way brings. */
  hasGap(): boolean;
  hasOlder(): boolean;
  /** Adds or replaces a message; of two states the one with the higher version wins. */
  put(message: StoredMessage): void;
  /** Counts as received what the server has up to `version`: only tests of the promise do. */
  skipTo(version: number, end: number): void;
}

const MAX_AHEAD = 2000;

/** `keep` bounds the messages in memory; older ones can be loaded again. */
export function createTimeline(keep: number): Timeline {
  let version: number | null = null;
  let replay: Replay | null = null;
  let loading = false;
  let items: StoredMessage[] = [];
  let end = 0;
  let outside = 0;
  /** The highest version received. */
  let latest = 0;
  const ahead = new Map<number, StoredMessage>();
  /** Versions that arrived while `mixed` with a replay. */
  let held: number[] = [];

  function forget(): void {
    items = [];
    end = 0;
    ahead.clear();
  }

  function startReplay(kind: Replay): void {
    replay = kind;
    held = [];
  }

  function append(message: StoredMessage): void {
    for (let next: StoredMessage | undefined = message; next; next = ahead.get(end + 1)) {
      ahead.delete(next.seq);
      items.push(next);
      end = next.seq;
    }
    // Not at every message: removing the first item moves all others.
    if (items.length > keep * 1.2) items.splice(0, items.length - keep);
  }

  function wait(message: StoredMessage): void {
    if (isNewer(message, ahead.get(message.seq))) ahead.set(message.seq, message);
    // Dropped ones come again with the pages that fill the gap.
    if (ahead.size > MAX_AHEAD) ahead.delete(Math.max(...ahead.keys()));
  }

  function put(message: StoredMessage): void {
    if (loading || message.seq > end + 1) return wait(message);
    if (message.seq > end) return append(message);
    const index = items.findLastIndex(({ seq }) => seq === message.seq);
    if (index < 0) outside++;
    else if (isNewer(message, items[index])) items[index] = message;
  }

  /** Takes messages even if the server has none between the last one and them. */
  function accept(page: StoredMessage[]): void {
    for (const message of page) {
      const waiting = ahead.get(message.seq);
      end = Math.max(end, message.seq - 1);
      put(waiting && isNewer(waiting, message) ? waiting : message);
    }
  }

  return {
    get version() {
      return version;
    },
    set version(value) {
      version = value;
    },
    get replay() {
      return replay;
    },
    get loading() {
      return loading;
    },
    get items() {
      return items;
    },
    get outside() {
      return outside;
    },
    get end() {
      return end;
    },
    load(from) {
      forget();
      version = replay = null;
      loading = true;
      latest = from;
    },
    startReplay,
    loaded(page, lastSeq) {
      const arrived = [...ahead.values()];
      forget();
      loading = false;
      version = latest;
      items = page;
      end = page.at(-1)?.seq ?? lastSeq;
      arrived.forEach(put);
    },
    prepend(page) {
      const first = items[0]?.seq ?? end + 1;
      items = [...page.filter(({ seq }) => seq < first), ...items];
    },
    fill(page) {
      // Where the server has nothing after `end`, and still a frame came: show it.
      accept(page.length ? page : [...ahead.values()].sort((a, b) => a.seq - b.seq));
    },
    receive(message) {
      const { version: received } = message;
      latest = Math.max(latest, received);
      put(message);
      if (version === null || received <= version) return false;
      const missing = !replay && received > version + 1;
      if (missing) startReplay("mixed");
      if (replay !== "mixed") version = received;
      else if (held.length < MAX_AHEAD) held.push(received);
      return missing;
    },
    resumed(to) {
      replay = null;
      latest = Math.max(latest, to);
      if (version === null) return false;
      version = Math.max(version, to);
      const later = held.sort((a, b) => a - b);
      for (const received of later) {
        if (received > version + 1) {
          startReplay("mixed");
          held = later;
          return true;
        }
        version = Math.max(version, received);
      }
      return false;
    },
    hasGap: () => ahead.size > 0 && !replay && !loading,
    hasOlder: () => (items[0]?.seq ?? end + 1) > 1,
    put,
    skipTo(to, last) {
      version = to;
      end = last;
    },
  };
}

function isNewer(message: StoredMessage, known: StoredMessage | undefined): boolean {
  return !known || known.version < message.version;
}
