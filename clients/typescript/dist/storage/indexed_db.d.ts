import type { Storage } from "./memory.js";
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
    transaction(name: string, mode: string): {
        objectStore(name: string): ObjectStore;
    };
}
interface Factory {
    open(name: string, version: number): DbRequest<Database> & {
        onupgradeneeded: (() => void) | null;
    };
}
/** Keeps values in a database of its own. Holds more than `localStorage` and works in workers. */
export declare function indexedDbStorage(name?: string, factory?: Factory): Storage;
export {};
