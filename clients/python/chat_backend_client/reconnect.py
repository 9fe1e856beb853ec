"""Delays between attempts to connect."""

import random
from collections.abc import Callable

MIN_DELAY, MAX_DELAY = 0.5, 30.0
MAX_DOUBLINGS = 16


class Backoff:
    """Doubles the limit of a random delay with each failure.

    Full jitter: the delay is anywhere between 0 and the limit, so that the clients of a restarted
    server do not come back all at once.
    """

    def __init__(
        self,
        lowest: float = MIN_DELAY,
        highest: float = MAX_DELAY,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._lowest, self._highest, self._draw = lowest, highest, draw
        self._failures = 0

    def succeed(self) -> None:
        self._failures = 0

    def next_delay(self, retry_after: float | None = None) -> float:
        """Returns seconds to wait, never less than the server asked for."""
        limit = min(self._highest, self._lowest * 2**self._failures)
        self._failures = min(self._failures + 1, MAX_DOUBLINGS)
        return (retry_after or 0.0) + self._draw(0.0, limit)
