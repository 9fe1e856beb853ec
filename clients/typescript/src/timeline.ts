import type { StoredMessage } from "./message.js";

/**
 * How a replay arrives: `ordered` in place of live frames, as after connecting with `since`, or
 * `mixed` with live frames, as after a `resume` frame.
 */
export type Replay = "ordered" | "mixed";

const MAX_AHEAD = 2000;

/**
 * Keeps the messages of one room in order and without a gap.
 *
 * `items` are contiguous by `seq`. Messages beyond the next `seq` wait in `#ahead` until those
 * between have arrived, so a view never shows a hole. `version` is the point to resume from:
 * everything up to it was received.
 */
export class Timeline {
  /** null before the first history. */
  version: number | null = null;
  replay: Replay | null = null;
  /** Whether history is being loaded. */
  loading = false;
  items: StoredMessage[] = [];
  /** The `seq` up to which `items` are complete. */
  end = 0;
  #latest = 0;
  #ahead = new Map<number, StoredMessage>();
  #held: number[] = [];

  /** `keep` bounds the messages in memory; older ones can be loaded again. */
  constructor(private readonly keep: number) {}

  /** Starts waiting for history, where nothing is known yet or too much was missed. */
  startLoading(version: number): void {
    this.#forget();
    this.version = this.replay = null;
    this.loading = true;
    this.#latest = version;
  }

  startReplay(replay: Replay): void {
    this.replay = replay;
    this.#held = [];
  }

  /** Takes the newest page of history. */
  loaded(page: StoredMessage[], lastSeq: number): void {
    this.loading = false;
    this.version = this.#latest;
    const arrived = [...this.#ahead.values()];
    this.#forget();
    this.items = page;
    this.end = page.at(-1)?.seq ?? lastSeq;
    for (const message of arrived) this.put(message);
  }

  /** Takes a page before the first message. */
  prepend(page: StoredMessage[]): void {
    const first = this.items[0]?.seq ?? this.end + 1;
    this.items = [...page.filter((message) => message.seq < first), ...this.items];
  }

  /** Takes a page after `end`. What the server leaves out does not exist. */
  fill(page: StoredMessage[]): void {
    for (const message of page) this.#accept(message);
    if (page.length) return;
    // The server has nothing after `end`, and still a frame came: show it.
    for (const message of [...this.#ahead.values()].sort((a, b) => a.seq - b.seq)) {
      this.#accept(message);
    }
  }

  /**
   * Takes a change from the socket. Returns whether versions before it are missing: either a later
   * change of the same message replaced them, or frames were lost. A resume answers which.
   */
  receive(message: StoredMessage): boolean {
    this.#latest = Math.max(this.#latest, message.version);
    this.put(message);
    if (this.version === null || this.loading || message.version <= this.version) return false;
    if (this.replay === "mixed") {
      if (this.#held.length < MAX_AHEAD) this.#held.push(message.version);
      return false;
    }
    if (this.replay === null && message.version > this.version + 1) {
      this.startReplay("mixed");
      this.#held.push(message.version);
      return true;
    }
    this.version = message.version;
    return false;
  }

  /** Ends a complete replay. Returns whether versions are missing after it, as `receive` does. */
  resumed(to: number): boolean {
    const held = this.#held.sort((a, b) => a - b);
    this.replay = null;
    this.#held = [];
    this.#latest = Math.max(this.#latest, to);
    if (this.version === null || this.loading) return false;
    this.version = Math.max(this.version, to);
    for (const version of held) {
      if (version > this.version + 1) {
        this.startReplay("mixed");
        this.#held = held.filter((one) => one >= version);
        return true;
      }
      this.version = Math.max(this.version, version);
    }
    return false;
  }

  /** Whether messages are missing that no replay under way brings. */
  get hasGap(): boolean {
    return this.#ahead.size > 0 && this.replay === null && !this.loading;
  }

  get hasOlder(): boolean {
    const first = this.items[0];
    return first ? first.seq > 1 : this.end > 0;
  }

  /** Adds or replaces a message; of two states the one with the higher version wins. */
  put(message: StoredMessage): void {
    if (this.loading || message.seq > this.end + 1) return this.#wait(message);
    if (message.seq === this.end + 1) return this.#append(message);
    const index = this.#indexOf(message.seq);
    const known = index === null ? null : this.items[index];
    if (index !== null && known && known.version < message.version) this.items[index] = message;
  }

  /** Counts as received what the server has up to `version`: only tests of the promise do. */
  skipTo(version: number, end: number): void {
    this.version = version;
    this.end = end;
  }

  /** Takes a message even if the server has none between the last one and it. */
  #accept(message: StoredMessage): void {
    if (message.seq <= this.end) return this.put(message);
    const waiting = this.#ahead.get(message.seq);
    this.end = message.seq - 1;
    this.put(waiting && waiting.version > message.version ? waiting : message);
  }

  #append(message: StoredMessage): void {
    let next: StoredMessage | undefined = message;
    while (next) {
      this.#ahead.delete(next.seq);
      this.items.push(next);
      this.end = next.seq;
      next = this.#ahead.get(this.end + 1);
    }
    // Not at every message: removing the first item moves all others.
    if (this.items.length > this.keep * 1.2) this.items.splice(0, this.items.length - this.keep);
  }

  #wait(message: StoredMessage): void {
    const known = this.#ahead.get(message.seq);
    if (known && known.version >= message.version) return;
    this.#ahead.set(message.seq, message);
    // Dropped ones come again with the pages that fill the gap.
    if (this.#ahead.size > MAX_AHEAD) this.#ahead.delete(Math.max(...this.#ahead.keys()));
  }

  #indexOf(seq: number): number | null {
    let low = 0;
    let high = this.items.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = this.items[middle]!.seq;
      if (found === seq) return middle;
      if (found < seq) low = middle + 1;
      else high = middle - 1;
    }
    return null;
  }

  #forget(): void {
    this.items = [];
    this.end = 0;
    this.#ahead.clear();
    this.#held = [];
  }
}
