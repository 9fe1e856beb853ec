import type { Report } from "../core.js";
import type { Storage } from "./memory.js";
/**
 * A storage whose failures are reported and not thrown.
 *
 * A full or forbidden storage costs what was to survive a restart; chatting goes on.
 */
export type SafeStorage = ReturnType<typeof safeStorage>;
export declare function safeStorage(storage: Storage, report: Report): {
    get: (key: string) => Promise<string | null>;
    set: (key: string, value: string) => Promise<void>;
    remove: (key: string) => Promise<void>;
    keys: (prefix: string) => Promise<string[]>;
    lock: <T>(name: string, run: () => Promise<T>) => Promise<T>;
};
