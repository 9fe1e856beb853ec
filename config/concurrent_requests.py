"""Limits unanswered requests: in total, per address and per user."""

import asyncio
from collections import Counter, deque

from django.conf import settings

from .http_refusals import busy


class UnansweredRequests:
    """Counts unanswered requests, in total and per address.

    Also keeps references to their tasks. A request that timed out counts until its thread is free.
    """

    def __init__(self) -> None:
        self._networks: dict[asyncio.Future[None], str | None] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._networks)

    def check(self, network: str | None) -> None:
        """Raises Refusal when the next request would exceed a limit."""
        limit: int | None = settings.CHAT_REQUESTS
        if limit is not None and len(self._networks) >= limit:
            raise busy("CHAT_REQUESTS")
        limit = settings.CHAT_REQUESTS_PER_ADDRESS
        if limit is not None and network is not None and self._by_network[network] >= limit:
            raise busy("CHAT_REQUESTS_PER_ADDRESS")

    def add(self, work: asyncio.Future[None], network: str | None) -> None:
        self._networks[work] = network
        if network is not None:
            self._by_network[network] += 1

    def discard(self, work: asyncio.Future[None]) -> None:
        """Stops counting a request. A second call does nothing."""
        network = self._networks.pop(work, None)
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]


unanswered = UnansweredRequests()


class UserTurns:
    """Limits the requests of one user that run at once.

    The limit is CHAT_REQUESTS_PER_USER. Others wait. Building a response may take ten times its
    size: a hundred at once would need more memory than all limits of unread responses allow.
    """

    def __init__(self) -> None:
        self._running: dict[int, int] = {}
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    async def take(self, user_id: int) -> "Turn":
        """Waits for a turn.

        It ends when the response begins, so slow readers do not keep it.
        """
        limit: int | None = settings.CHAT_REQUESTS_PER_USER
        if limit is None or self._running.get(user_id, 0) < limit:
            self._running[user_id] = self._running.get(user_id, 0) + 1
            return Turn(self, user_id)
        turn_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user_id, deque()).append(turn_ready)
        try:
            await turn_ready
        except asyncio.CancelledError:
            if turn_ready.done() and not turn_ready.cancelled():
                self.release(user_id)
            raise
        return Turn(self, user_id)

    def release(self, user_id: int) -> None:
        """Passes the turn on to the request that has waited longest."""
        waiting = self._waiting.get(user_id)
        while waiting:
            turn_ready = waiting.popleft()
            if not turn_ready.done():
                turn_ready.set_result(None)
                return
        self._waiting.pop(user_id, None)
        self._running[user_id] -= 1
        if not self._running[user_id]:
            del self._running[user_id]


class Turn:
    __slots__ = ("_turns", "_user_id")

    def __init__(self, turns: UserTurns, user_id: int) -> None:
        self._turns = turns
        self._user_id: int | None = user_id

    def end(self) -> None:
        """Ends the turn. A second call does nothing."""
        user_id, self._user_id = self._user_id, None
        if user_id is not None:
            self._turns.release(user_id)
