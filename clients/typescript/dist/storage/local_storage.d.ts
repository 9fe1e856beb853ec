import type { Storage } from "./memory.js";
interface WebStorage {
    readonly length: number;
    key(index: number): string | null;
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
}
/** Keeps values in `localStorage`, or in the storage given. `prefix` separates several users. */
export declare function localStorageStorage(prefix?: string, storage?: WebStorage): Storage;
export {};
