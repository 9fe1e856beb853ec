interface LockManager {
  request<T>(name: string, run: () => Promise<T>): Promise<T>;
}

/** Runs one function at a time over all pages of an origin, where the browser has Web Locks. */
export function lockIn(prefix: string): <T>(name: string, run: () => Promise<T>) => Promise<T> {
  return (name, run) => {
    // Absent on plain http, except on localhost.
    const { navigator } = globalThis as unknown as { navigator?: { locks?: LockManager } };
    return navigator?.locks ? navigator.locks.request(`${prefix}${name}`, run) : run();
  };
}
