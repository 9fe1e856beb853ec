import { ApiError, ChatError } from "./errors.js";
import { platform } from "./platform.js";
import type { Storage } from "./storage/memory.js";

export interface TokenPair {
  access: string;
  refresh: string;
}

interface Stored extends TokenPair {
  username: string | null;
  /** When the pair was received, by the clock of this client. */
  at: number;
}

const KEY = "tokens";
const MARGIN = 60;

/**
 * Keeps the sign-in and renews it before it expires.
 *
 * A refresh token is spent by its use. So one renewal runs at a time: within this client by one
 * shared promise, among pages by a lock of the storage, under which a pair that another page has
 * stored is taken over.
 */
export class Tokens {
  #pair: Stored | null = null;
  #loading: Promise<void> | null = null;
  #renewal: Promise<void> | null = null;

  constructor(
    private readonly storage: Storage,
    private readonly now: () => number,
    private readonly refresh: (refresh: string) => Promise<TokenPair>,
    private readonly onSignedOut: () => void,
    private readonly report: (code: string, message: string) => void,
  ) {}

  /** The user of the sign-in, read from the token. */
  get userId(): number | null {
    const id = claim(this.#pair?.access, "user_id");
    return typeof id === "number" ? id : null;
  }

  get username(): string | null {
    return this.#pair?.username ?? null;
  }

  set username(username: string) {
    if (this.#pair) this.#pair.username = username;
  }

  get refreshToken(): string | null {
    return this.#pair?.refresh ?? null;
  }

  /** Takes the sign-in that an earlier start of the program stored. */
  load(): Promise<void> {
    return (this.#loading ??= this.#read().then((stored) => {
      this.#pair ??= stored;
    }));
  }

  async set(pair: TokenPair, username: string | null = null): Promise<void> {
    this.#loading = Promise.resolve();
    this.#pair = { access: pair.access, refresh: pair.refresh, username, at: this.now() };
    try {
      await this.storage.set(KEY, JSON.stringify(this.#pair));
    } catch (error) {
      this.report("storage_failed", `The sign-in would not survive a restart: ${error}`);
    }
  }

  async clear(): Promise<void> {
    this.#pair = null;
    this.#loading = Promise.resolve();
    try {
      await this.storage.remove(KEY);
    } catch (error) {
      this.report("storage_failed", `The sign-in stays in the storage: ${error}`);
    }
  }

  /** Returns a valid access token. Throws ChatError `not_authenticated`, or ApiError. */
  async access(): Promise<string> {
    await this.load();
    if (this.#pair && this.#expiresSoon(this.#pair)) {
      try {
        await this.renew(this.#pair.access);
      } catch (error) {
        // It is still valid for a moment, unless the sign-in has ended.
        if (!this.#pair || (error instanceof ApiError && !error.temporary)) throw error;
        if (this.#secondsLeft(this.#pair) <= 0) throw error;
      }
    }
    if (!this.#pair) throw new ChatError("not_authenticated", "Sign in first");
    return this.#pair.access;
  }

  /** Replaces the access token that the server refused, unless that has happened already. */
  async renew(refused: string): Promise<void> {
    if (this.#pair?.access !== refused) return;
    const run = () => this.#renewOnce(refused);
    const renewal = (this.#renewal ??= this.storage.lock ? this.storage.lock("renewal", run) : run());
    try {
      await renewal;
    } finally {
      if (this.#renewal === renewal) this.#renewal = null;
    }
  }

  async #renewOnce(refused: string): Promise<void> {
    const stored = await this.#read();
    const mine = this.#pair;
    if (!mine || mine.access !== refused) return;
    if (stored && stored.access !== refused && isSameUser(stored, mine)) {
      this.#pair = stored; // Another page was first.
      return;
    }
    try {
      await this.set(await this.refresh(mine.refresh), mine.username);
    } catch (error) {
      if (error instanceof ApiError && error.status === 401 && this.#pair === mine) {
        await this.clear();
        this.onSignedOut();
      }
      throw error;
    }
  }

  #expiresSoon(pair: Stored): boolean {
    const lifetime = Number(claim(pair.access, "exp") ?? NaN) - pair.at / 1000;
    // A pair that is old on arrival means a wrong clock here: then the server's refusal decides.
    return lifetime > 0 && this.#secondsLeft(pair) < Math.min(MARGIN, lifetime / 3);
  }

  #secondsLeft(pair: Stored): number {
    return Number(claim(pair.access, "exp") ?? Infinity) - this.now() / 1000;
  }

  async #read(): Promise<Stored | null> {
    try {
      const value = await this.storage.get(KEY);
      const stored = value === null ? null : (JSON.parse(value) as Stored);
      return typeof stored?.access === "string" && typeof stored.refresh === "string" ? stored : null;
    } catch (error) {
      this.report("storage_failed", `The stored sign-in was not read: ${error}`);
      return null;
    }
  }
}

function isSameUser(one: TokenPair, other: TokenPair): boolean {
  return claim(one.access, "user_id") === claim(other.access, "user_id");
}

function claim(token: string | undefined, name: string): unknown {
  try {
    const payload = token?.split(".")[1]?.replace(/-/g, "+").replace(/_/g, "/");
    return payload ? JSON.parse(platform.atob(payload))[name] : undefined;
  } catch {
    return undefined; // Not a JWT: the server's refusal decides.
  }
}
