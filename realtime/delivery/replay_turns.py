"""Lets each user have a few replays under way at a time (decision 32).

A turn is short: it ends with its page, or when the client does not read. So clients that do not
read take no turn from the other sockets of their user.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from accounts.kernel.errors import Busy
from accounts.kernel.metrics import count_refusal

TURN_TIMEOUT = 2.0
"""Seconds after which a turn ends when the client does not take all of its page."""
STALL_TIMEOUT = 0.25
"""Seconds after which it ends when the client takes nothing: 50 sockets that are not read delay a
further one of their user by 3 s."""
WAIT_TIMEOUT = 30.0
"""Seconds that a replay waits for its turn: 50 sockets of a slow client come 4 at a time."""


class Line:
    """The replays of one user."""

    __slots__ = ("semaphore", "size")

    def __init__(self, limit: int) -> None:
        self.semaphore = asyncio.Semaphore(limit)
        self.size = 0
        """Replays that have their turn or wait for it."""


class ReplayTurns:
    """One per process, on the loop of its sockets."""

    def __init__(self) -> None:
        self._lines: dict[int, Line] = {}

    def __len__(self) -> int:
        """Replays that have their turn or wait for it."""
        return sum(line.size for line in self._lines.values())

    @asynccontextmanager
    async def turn(self, user_id: int) -> AsyncIterator[None]:
        """Holds one of the user's turns. Raises Busy when none became free."""
        limit: int | None = settings.CHAT_REPLAYS_PER_USER
        if limit is None:
            yield
            return
        line = self._lines.setdefault(user_id, Line(limit))
        line.size += 1
        try:
            await _acquire(line.semaphore)
            try:
                yield
            finally:
                line.semaphore.release()
        finally:
            line.size -= 1
            if not line.size:
                del self._lines[user_id]


async def _acquire(semaphore: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await semaphore.acquire()
    except TimeoutError:
        count_refusal("CHAT_REPLAYS_PER_USER")
        raise Busy from None
