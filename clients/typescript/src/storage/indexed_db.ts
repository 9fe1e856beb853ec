import { lockIn } from "./locks.js";
import type { Storage } from "./memory.js";

// The few parts of IndexedDB in use: the core is compiled without DOM types.
interface DbRequest<T = unknown> {
  result: T;
  error: Error | null;
  onsuccess: (() => void) | null;
  onerror: (() => void) | null;
}
interface ObjectStore {
  get(key: string): DbRequest<string | undefined>;
  put(value: string, key: string): DbRequest;
  delete(key: string): DbRequest;
  getAllKeys(): DbRequest<unknown[]>;
}
interface Database {
  createObjectStore(name: string): unknown;
  transaction(name: string, mode: string): { objectStore(name: string): ObjectStore };
}
interface Factory {
  open(name: string, version: number): DbRequest<Database> & { onupgradeneeded: (() => void) | null };
}

const STORE = "values";

/** Keeps values in a database of its own. Holds more than `localStorage` and works in workers. */
export function indexedDbStorage(name = "chat", factory?: Factory): Storage {
  const indexedDB = factory ?? (globalThis as unknown as { indexedDB: Factory }).indexedDB;
  let database: Promise<Database> | null = null;

  function opened(): Promise<Database> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    return answer(request);
  }

  async function run<T>(mode: string, work: (store: ObjectStore) => DbRequest<T>): Promise<T> {
    database ??= opened();
    try {
      return await answer(work((await database).transaction(STORE, mode).objectStore(STORE)));
    } catch (error) {
      database = null; // A browser may close a database at any time: open it again next time.
      throw error;
    }
  }

  return {
    get: async (key) => (await run("readonly", (store) => store.get(key))) ?? null,
    set: async (key, value) => void (await run("readwrite", (store) => store.put(value, key))),
    remove: async (key) => void (await run("readwrite", (store) => store.delete(key))),
    keys: async (prefix) => {
      const keys = await run("readonly", (store) => store.getAllKeys());
      return keys.map(String).filter((key) => key.startsWith(prefix));
    },
    lock: lockIn(`${name}:`),
  };
}

function answer<T>(request: DbRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
