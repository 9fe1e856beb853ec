"""Divides the running requests between users and between hosts.

A slow service keeps a request running for 10 s. A user, and a host that was slow a moment ago, have
a quarter of the threads, so that others go on. Hosts that are not slow may have all threads: most
devices belong to a few large services.
"""

import time
from collections import Counter

PER_THREAD = 2
"""A thread's next request waits ready, for the time until the follower reads again."""
SHARES = 4
SLOW = 3.0
"""Seconds of a request after which its host counts as slow."""
SLOW_TTL = 60.0


class RequestSlots:
    """Counts running requests. Used by one thread."""

    def __init__(self, threads: int) -> None:
        self._count = threads * PER_THREAD
        self._share = max(1, threads // SHARES)
        self._users: Counter[int] = Counter()
        self._hosts: Counter[str] = Counter()
        self._slow_until: dict[str, float] = {}

    @property
    def free(self) -> int:
        return self._count - self._users.total()

    def acquire(self, user_id: int, host: str) -> bool:
        """Takes a slot for a request. False when the user or the host has its share."""
        if user_id in self.full_users() or host in self.full_hosts():
            return False
        self._users[user_id] += 1
        self._hosts[host] += 1
        return True

    def release(self, user_id: int, host: str, *, seconds: float) -> None:
        """Frees the slot of a request that took so long."""
        # Subtracting drops what has become zero: both stay as small as what is running.
        self._users -= Counter([user_id])
        self._hosts -= Counter([host])
        if seconds >= SLOW:
            self._slow_until[host] = time.monotonic() + SLOW_TTL

    def full_users(self) -> list[int]:
        return [user_id for user_id, count in self._users.items() if count >= self._share]

    def full_hosts(self) -> list[str]:
        now = time.monotonic()
        # Few: each had a thread for SLOW within SLOW_TTL.
        self._slow_until = {host: until for host, until in self._slow_until.items() if until > now}
        return [host for host in self._slow_until if self._hosts[host] >= self._share]
