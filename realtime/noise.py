"""Frames that say nothing: pings, pongs and pieces of a message (decision 22).

They reach no consumer and so no rate; each costs the loop a few microseconds. Sent as fast as a
line takes them they would be all that a process does.
"""

import logging
import time

log = logging.getLogger(__name__)

WINDOW = 10.0
MOST_IN_WINDOW = 20_000
"""Two thousand a second: no client needs a hundredth of it, and it is a hundredth of a core."""


class Noise:
    """Of one peer."""

    __slots__ = ("_heard", "_since")

    def __init__(self) -> None:
        self._heard = 0
        self._since = -WINDOW

    def is_too_much(self) -> bool:
        """Called with each of these frames; True from the first too many in a window."""
        now = time.monotonic()
        if now - self._since >= WINDOW:
            self._since, self._heard = now, 0
        self._heard += 1
        if self._heard == MOST_IN_WINDOW + 1:
            log.info("Cut a socket: more than %d pings and pieces in %d s", MOST_IN_WINDOW, WINDOW)
        return self._heard > MOST_IN_WINDOW
