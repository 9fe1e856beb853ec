const BASE = 0.5;
const CAP = 30;

/** Computes the delays between attempts: exponential, capped, with full jitter. */
export class Backoff {
  #failures = 0;

  constructor(private readonly random: () => number) {}

  /**
   * Returns the seconds until the next attempt.
   *
   * Full jitter: after a restart of the server thousands of clients must not return together.
   * `atLeast` is the server's `retry_after`, and comes on top.
   */
  next(atLeast = 0): number {
    const limit = Math.min(CAP, BASE * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    return atLeast + this.random() * limit;
  }

  reset(): void {
    this.#failures = 0;
  }
}
