import { lockIn } from "./locks.js";
import type { Storage } from "./memory.js";

interface WebStorage {
  readonly length: number;
  key(index: number): string | null;
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Keeps values in `localStorage`, or in the storage given. `prefix` separates several users. */
export function localStorageStorage(prefix = "chat:", storage?: WebStorage): Storage {
  const store = storage ?? (globalThis as unknown as { localStorage: WebStorage }).localStorage;
  return {
    get: (key) => store.getItem(prefix + key),
    set: (key, value) => store.setItem(prefix + key, value),
    remove: (key) => store.removeItem(prefix + key),
    keys: (start) => {
      const keys = Array.from({ length: store.length }, (_, index) => store.key(index) ?? "");
      return keys.filter((key) => key.startsWith(prefix + start)).map((key) => key.slice(prefix.length));
    },
    lock: lockIn(prefix),
  };
}
