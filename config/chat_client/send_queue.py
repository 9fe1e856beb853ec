"""Queues messages until the server has acknowledged them."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass, field

MAX_WAITING = 100


@dataclass(frozen=True)
class QueuedMessage:
    """Holds a message with a `client_id`, so that a repeat is stored once."""

    text: str
    client_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def frame(self) -> dict[str, str]:
        return {
            "type": "message",
            "message": self.text,
            "client_id": self.client_id,
            "ref": self.client_id,
        }


class SendQueue:
    """Sends in order, one message in flight: a resent message stays before the next."""

    def __init__(self) -> None:
        self._messages: deque[QueuedMessage] = deque()
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        return len(self._messages)

    async def put(self, text: str) -> None:
        """Waits while the queue is full: a pipe is read no faster than it is sent."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self) < MAX_WAITING)
            self._messages.append(QueuedMessage(text))
            self._changed.notify_all()

    async def first(self) -> QueuedMessage:
        """Waits for the first message, which stays in the queue."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._messages)
            return self._messages[0]

    async def remove_first(self) -> None:
        async with self._changed:
            self._messages.popleft()
            self._changed.notify_all()

    async def drain(self, limit: float) -> bool:
        """Waits until all is acknowledged; False after `limit` seconds without progress."""
        async with self._changed:
            while self._messages:
                try:
                    async with asyncio.timeout(limit):
                        await self._changed.wait()
                except TimeoutError:
                    return False
        return True
