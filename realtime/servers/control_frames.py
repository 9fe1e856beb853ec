"""Frames that reach no consumer: pings, pongs and pieces of a message (decision 22).

No rate counts them, and each costs the loop a few microseconds. Sent as fast as a line takes them
they would be all that a process does.
"""

import logging
import time

from websockets.frames import Opcode

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


LENGTH_FIELDS = {126: 2, 127: 8}
"""Lengths that stand for a longer field behind them, of so many bytes (RFC 6455 §5.2)."""


class FrameScanner:
    """Finds the control frames in a client's bytes, for servers whose inside we do not know.

    It reads the headers of frames only (RFC 6455 §5.2) and skips the payloads.
    """

    __slots__ = ("_header", "_limiter", "_skip")

    def __init__(self) -> None:
        self._header = bytearray()
        self._skip = 0
        self._limiter = ControlFrameLimiter()

    def is_too_much(self, data: bytes) -> bool:
        """Takes the next bytes; True from the first control frame too many."""
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
        """True when a header is complete and is that of a control frame or a continuation."""
        header = self._header
        if len(header) < _size_of_header(header):
            return False
        extended = LENGTH_FIELDS.get(header[1] & 0x7F, 0)
        self._skip = int.from_bytes(header[2 : 2 + extended]) if extended else header[1] & 0x7F
        opcode = header[0] & 0x0F
        self._header = bytearray()
        return opcode == Opcode.CONT or opcode >= Opcode.CLOSE


def _size_of_header(begun: bytearray) -> int:
    """As far as it is known: the second byte says how long the length is, and whether a mask is."""
    if len(begun) < 2:  # noqa: PLR2004 - opcode and length
        return 2
    extended = LENGTH_FIELDS.get(begun[1] & 0x7F, 0)
    return 2 + extended + (4 if begun[1] & 0x80 else 0)
