import { ApiError, ChatError } from "./errors.js";
import { platform } from "./platform.js";
import type { SafeStorage } from "./storage/safe.js";

export interface TokenPair {
  access: string;
  refresh: string;
}

interface Stored extends TokenPair {
  username: string;
  /** When the pair was received, by the clock of this client. */
  at: number;
}

/**
 * Keeps the sign-in and renews it before it expires.
 *
 * A refresh token is spent by its use. So one renewal runs at a time: within this client by one
 * shared promise, among pages by a lock of the storage, under which a pair that another page has
 * stored is taken over.
 */
export interface Tokens {
  /** The user of the sign-in, read from the token; null when signed out. */
  readonly userId: number | null;
  username: string;
  readonly refreshToken: string | undefined;
  /** Takes the sign-in that an earlier start of the program stored. */
  load(): Promise<void>;
  set(pair: TokenPair, username?: string): Promise<void>;
  clear(): Promise<void>;
  /** Returns a valid access token. Throws ChatError `not_authenticated`, or ApiError. */
  access(): Promise<string>;
  /** Replaces the access token that the server refused, unless that has happened already. */
  renew(refused: string): Promise<void>;
}

const KEY = "tokens";
const MARGIN = 60;

export function createTokens(
  storage: SafeStorage,
  now: () => number,
  refresh: (refresh: string) => Promise<TokenPair>,
  onSignedOut: () => void,
  onOtherUser: () => void,
): Tokens {
  let pair: Stored | null = null;
  /** The user who is or was signed in here. */
  let user: number | undefined;
  let loading: Promise<void> | null = null;
  let renewal: Promise<void> | null = null;

  async function stored(): Promise<Stored | null> {
    try {
      return JSON.parse((await storage.get(KEY)) ?? "null");
    } catch {
      return null;
    }
  }

  function load(): Promise<void> {
    return (loading ??= stored().then((found) => {
      pair ??= found;
      user = claim(pair, "user_id");
    }));
  }

  function set({ access, refresh }: TokenPair, username = ""): Promise<void> {
    loading = Promise.resolve();
    pair = { access, refresh, username, at: now() };
    const before = user;
    user = claim(pair, "user_id") ?? before;
    // In the same step: no socket and no message of one user may meet the token of another.
    if (before !== undefined && before !== user) onOtherUser();
    return storage.set(KEY, JSON.stringify(pair));
  }

  async function clear(): Promise<void> {
    const mine = pair;
    loading = Promise.resolve();
    pair = null;
    // Another page may have signed in again.
    if ((await stored())?.refresh === mine?.refresh) await storage.remove(KEY);
  }

  function secondsLeft(from = now()): number {
    return (claim(pair, "exp") ?? Infinity) - from / 1000;
  }

  function expiresSoon({ at }: Stored): boolean {
    const lifetime = secondsLeft(at);
    // A pair that is old on arrival means a wrong clock here: then the server's refusal decides.
    return lifetime > 0 && secondsLeft() < Math.min(MARGIN, lifetime / 3);
  }

  async function renewOnce(refused: string): Promise<void> {
    const mine = pair;
    if (mine?.access !== refused) return;
    const other = await stored();
    // An older pair is one that a failed write left: its refresh token is spent.
    if (other && other.access !== refused && other.at >= mine.at && claim(other, "user_id") === claim(mine, "user_id")) {
      pair = other; // Another page was first.
      return;
    }
    try {
      const renewed = await refresh(mine.refresh);
      if (pair === mine) await set(renewed, mine.username);
    } catch (error) {
      if ((error as ApiError).status === 401 && pair === mine) {
        await clear();
        onSignedOut();
      }
      throw error;
    }
  }

  function renew(refused: string): Promise<void> {
    return (renewal ??= storage
      .lock("renewal", () => renewOnce(refused))
      .finally(() => {
        renewal = null;
      }));
  }

  return {
    get userId() {
      return claim(pair, "user_id") ?? null;
    },
    get username() {
      return pair?.username ?? "";
    },
    set username(username) {
      if (pair) pair.username = username;
    },
    get refreshToken() {
      return pair?.refresh;
    },
    load,
    set,
    clear,
    renew,
    async access() {
      await load();
      if (pair && expiresSoon(pair)) {
        try {
          await renew(pair.access);
        } catch (error) {
          // Valid for a moment still, if the server was only out of reach.
          if (!pair || secondsLeft() <= 0) throw error;
        }
      }
      if (!pair) throw new ChatError("not_authenticated", "Sign in first");
      return pair.access;
    },
  };
}

/** Reads a number from a JSON Web Token. */
function claim(pair: TokenPair | null, name: string): number | undefined {
  try {
    const payload = pair!.access.split(".")[1]!.replace(/-/g, "+").replace(/_/g, "/");
    return JSON.parse(platform.atob(payload))[name];
  } catch {
    return undefined; // Signed out, or no such token: the server's refusal decides.
  }
}
