/**
 * Where a client keeps its tokens and its unsent messages.
 *
 * Methods may be asynchronous. `lock` runs one function at a time over all pages that share the
 * storage; without it two pages may renew at once, which the server tolerates for 30 seconds.
 */
export interface Storage {
    get(key: string): Promise<string | null> | string | null;
    set(key: string, value: string): Promise<void> | void;
    remove(key: string): Promise<void> | void;
    /** The keys with this prefix, in any order. */
    keys(prefix: string): Promise<string[]> | string[];
    lock?<T>(name: string, run: () => Promise<T>): Promise<T>;
}
/** Keeps everything until the process or page ends. */
export declare function memoryStorage(): Storage;
