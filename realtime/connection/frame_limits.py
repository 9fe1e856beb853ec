"""Limits the frames and errors of one socket (contract §4)."""

import time
from collections import deque

from django.conf import settings

from accounts.kernel.errors import RateLimited
from accounts.kernel.rate_limits import Bucket, Rate
from realtime.errors import PersistentlyRateLimited, TooManyUnreadableFrames
from realtime.protocol.parsing import MAX_FRAME_LENGTH

MAX_UNREADABLE = 5
MAX_REFUSED = 200
WINDOW = 60.0
CHEAP = 512
"""Characters of an invalid frame that cost as much as one valid frame."""


class FrameLimiter:
    """Counts frames and errors of one socket. Lists are created when first needed."""

    __slots__ = ("_bucket", "_refused", "_unreadable")

    def __init__(self) -> None:
        self._bucket = Bucket()
        self._unreadable: deque[float] | None = None
        self._refused: deque[float] | None = None

    def consume_frame(self) -> None:
        """Raises RateLimited above the rate, PersistentlyRateLimited after 200 a minute."""
        rate: Rate | None = settings.CHAT_FRAME_RATE
        if rate is None:
            return
        wait = self._bucket.consume(rate, time.monotonic())
        if wait <= 0:
            return
        self._refused = self._refused if self._refused is not None else deque()
        if _too_many(self._refused, MAX_REFUSED):
            raise PersistentlyRateLimited(retry_after=WINDOW)
        raise RateLimited("Too many frames: wait a moment", retry_after=wait)

    def charge_invalid_frame(self, text: str | None) -> None:
        """Charges an invalid frame once more for each 512 characters."""
        rate: Rate | None = settings.CHAT_FRAME_RATE
        more = min(len(text or ""), MAX_FRAME_LENGTH) // CHEAP
        if more and rate is not None:
            self._bucket.charge(rate, time.monotonic(), more)

    def count_unreadable_frame(self) -> None:
        """Raises TooManyUnreadableFrames with the fifth within a minute."""
        self._unreadable = self._unreadable if self._unreadable is not None else deque()
        if _too_many(self._unreadable, MAX_UNREADABLE):
            raise TooManyUnreadableFrames


def _too_many(moments: deque[float], most: int) -> bool:
    now = time.monotonic()
    moments.append(now)
    while moments[0] < now - WINDOW:
        moments.popleft()
    return len(moments) >= most
