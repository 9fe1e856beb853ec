/** Computes the delays between attempts: exponential, capped, with full jitter. */
export declare class Backoff {
    #private;
    private readonly random;
    constructor(random: () => number);
    /**
     * Returns the seconds until the next attempt.
     *
     * Full jitter: after a restart of the server thousands of clients must not return together.
     * `atLeast` is the server's `retry_after`, and comes on top.
     */
    next(atLeast?: number): number;
    reset(): void;
}
