"""Frames that reach no consumer: pings, pongs and pieces of a message (decision 22).

No rate counts them, and each costs the loop a few microseconds. Sent as fast as a line takes them
they would be all that a process does.
"""

import logging
import time

log = logging.getLogger(__name__)

WINDOW = 10.0
MAX_CONTROL_FRAMES = 20_000
"""In one window, two thousand a second: no client needs a hundredth of it, and it is a hundredth of
a core."""


class ControlFrameLimiter:
    """Counts the control frames of one peer."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._count = 0
        self._since = -WINDOW

    def is_too_much(self) -> bool:
        """Counts one frame; True from the first too many in a window."""
        now = time.monotonic()
        if now - self._since >= WINDOW:
            self._since, self._count = now, 0
        self._count += 1
        if self._count == MAX_CONTROL_FRAMES + 1:
            log.info(
                "Cut a socket: more than %d pings and pieces in %d s", MAX_CONTROL_FRAMES, WINDOW
            )
        return self._count > MAX_CONTROL_FRAMES
