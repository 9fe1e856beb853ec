/** Runs one function at a time over all pages of an origin, where the browser has Web Locks. */
export declare function lockIn(prefix: string): <T>(name: string, run: () => Promise<T>) => Promise<T>;
