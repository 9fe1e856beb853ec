import type { Report } from "../core.js";
import type { Storage } from "./memory.js";

/**
 * A storage whose failures are reported and not thrown.
 *
 * A full or forbidden storage costs what was to survive a restart; chatting goes on.
 */
export type SafeStorage = ReturnType<typeof safeStorage>;

export function safeStorage(storage: Storage, report: Report) {
  async function attempt<T>(run: () => Promise<T> | T, otherwise: T): Promise<T> {
    try {
      return await run();
    } catch (error) {
      report("storage_failed", `The storage failed: ${error}`, error);
      return otherwise;
    }
  }
  return {
    get: (key: string) => attempt(() => storage.get(key), null),
    set: (key: string, value: string) => attempt<void>(() => storage.set(key, value), undefined),
    remove: (key: string) => attempt<void>(() => storage.remove(key), undefined),
    keys: (prefix: string) => attempt(() => storage.keys(prefix), []),
    lock: <T>(name: string, run: () => Promise<T>): Promise<T> => storage.lock?.(name, run) ?? run(),
  };
}
