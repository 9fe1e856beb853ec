"""Limits pings, pongs and continuation frames (decision 22).

They reach no consumer, so no rate limit counts them, and each costs the loop a few microseconds. A
client that sends them at line speed would use all the time of a process.
"""

import logging
import time

from websockets.frames import Opcode

log = logging.getLogger(__name__)

WINDOW = 10.0
MAX_CONTROL_FRAMES = 20_000
"""Per window: two thousand a second. No client needs a hundredth of that, and it costs a hundredth
of a core."""


class ControlFrameLimiter:
    """Counts the control frames of one peer."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._count = 0
        self._since = -WINDOW

    def is_too_much(self) -> bool:
        """Counts one frame. Returns True above the limit of the window."""
        now = time.monotonic()
        if now - self._since >= WINDOW:
            self._since, self._count = now, 0
        self._count += 1
        if self._count == MAX_CONTROL_FRAMES + 1:
            log.info("Aborted a socket: over %d control frames in %d s", MAX_CONTROL_FRAMES, WINDOW)
        return self._count > MAX_CONTROL_FRAMES


LENGTH_FIELDS = {126: 2, 127: 8}
"""Length values that announce an extended length field, and its bytes (RFC 6455 §5.2)."""


class FrameScanner:
    """Finds control frames in a client's bytes, for servers that we do not know.

    Reads frame headers only (RFC 6455 §5.2) and skips the payloads.
    """

    __slots__ = ("_header", "_limiter", "_skip")

    def __init__(self) -> None:
        self._header = bytearray()
        self._skip = 0
        self._limiter = ControlFrameLimiter()

    def is_too_much(self, data: bytes) -> bool:
        """Scans the next bytes. Returns True above the limit of control frames."""
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(_size_of_header(self._header) - len(self._header), len(data) - position)
                self._header += data[position : position + step]
                if self._ends_header() and self._limiter.is_too_much():
                    return True
            position += step
        return False

    def _ends_header(self) -> bool:
        """Returns True if the header is complete, and of a control or continuation frame."""
        header = self._header
        if len(header) < _size_of_header(header):
            return False
        extended = LENGTH_FIELDS.get(header[1] & 0x7F, 0)
        self._skip = int.from_bytes(header[2 : 2 + extended]) if extended else header[1] & 0x7F
        opcode = header[0] & 0x0F
        self._header = bytearray()
        return opcode == Opcode.CONT or opcode >= Opcode.CLOSE


def _size_of_header(begun: bytearray) -> int:
    """Returns the size known so far: the second byte completes it."""
    if len(begun) < 2:  # noqa: PLR2004 - opcode and length
        return 2
    extended = LENGTH_FIELDS.get(begun[1] & 0x7F, 0)
    return 2 + extended + (4 if begun[1] & 0x80 else 0)
