"""Limits the concurrent replays of each user (decision 32).

A turn ends with its page, or when the client does not read. So a socket that does not read blocks
no other socket of its user.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from accounts.kernel.errors import Busy
from accounts.kernel.metrics import count_refusal

TURN_TIMEOUT = 2.0
"""Seconds after which a turn ends although the client has not read all of its page."""
STALL_TIMEOUT = 0.25
"""Seconds after which a turn ends when the client reads nothing: 50 sockets that do not read delay
a further socket of their user by 3 s."""
WAIT_TIMEOUT = 30.0
"""Seconds that a replay waits for its turn: 50 sockets of a slow client replay 4 at a time."""


class UserTurns:
    """The replays of one user."""

    __slots__ = ("semaphore", "size")

    def __init__(self, limit: int) -> None:
        self.semaphore = asyncio.Semaphore(limit)
        self.size = 0
        """Replays that hold a turn or wait for one."""


class ReplayTurns:
    """Grants turns in one process, on the loop of its sockets."""

    def __init__(self) -> None:
        self._by_user: dict[int, UserTurns] = {}

    def __len__(self) -> int:
        """Replays that hold a turn or wait for one."""
        return sum(turns.size for turns in self._by_user.values())

    @asynccontextmanager
    async def turn(self, user_id: int) -> AsyncIterator[None]:
        """Holds one of the user's turns. Raises Busy when none became free."""
        limit: int | None = settings.CHAT_REPLAYS_PER_USER
        if limit is None:
            yield
            return
        turns = self._by_user.setdefault(user_id, UserTurns(limit))
        turns.size += 1
        try:
            await _acquire(turns.semaphore)
            try:
                yield
            finally:
                turns.semaphore.release()
        finally:
            turns.size -= 1
            if not turns.size:
                del self._by_user[user_id]


async def _acquire(semaphore: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(WAIT_TIMEOUT):
            await semaphore.acquire()
    except TimeoutError:
        count_refusal("CHAT_REPLAYS_PER_USER")
        raise Busy from None
