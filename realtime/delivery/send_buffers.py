"""Counts the bytes that each user's sockets hold here (decision 32).

It counts what waits for a client to read: frames in a send queue, frames buffered during a replay,
pages of a replay. One limit covers all sockets of a user, since 50 sockets could each stay just
below a limit of their own.
"""

import sys
from collections import Counter

from django.conf import settings

from accounts.kernel.metrics import count_refusal
from realtime.servers.interface import Event


def size_of(event: Event) -> int:
    """Returns the memory that an event's text takes.

    Python keeps the size of a text beside it (4 bytes a character with emoji), so this costs the
    same for every length, while encoding it would not.
    """
    return sys.getsizeof(event.get("text", ""))


class SendBuffers:
    """Counts bytes by user id, 0 for sockets that have not signed in.

    Runs on the loop.
    """

    def __init__(self) -> None:
        self._bytes: Counter[int] = Counter()
        self.total = 0

    def add(self, user_id: int, size: int) -> None:
        """Counts bytes in, or out when the size is negative."""
        self.total += size
        self._bytes[user_id] += size
        if not self._bytes[user_id]:
            del self._bytes[user_id]

    def is_full(self, user_id: int) -> bool:
        """Whether a user's sockets hold more than they may.

        Counts the refusal that follows.
        """
        limit: int | None = settings.CHAT_SEND_BUFFER_PER_USER
        if limit is None or not user_id or self._bytes[user_id] <= limit:
            return False
        count_refusal("CHAT_SEND_BUFFER_PER_USER")
        return True
