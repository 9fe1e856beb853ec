"""Limits open sockets per user and address, over all processes (contract §4).

The count of this process is exact and always enforced. The total of all processes is read from
Redis when a socket opens, and not enforced while Redis is down.
"""

from collections import Counter
from collections.abc import Mapping

from realtime.close_codes import RECONNECT_DELAY
from realtime.errors import TooManyConnections

from .leases import Leases
from .redis_client import reply_in_time


class ConnectionCounter:
    """Counts sockets by name, such as `user:3`.

    Each `acquire` needs a `release`, also if `check` raises.
    """

    def __init__(self, leases: Leases) -> None:
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()
        self._leases = leases

    def acquire(self, name: str, limit: int | None, refusal: str | None = None) -> None:
        """Counts one socket, or raises TooManyConnections and counts nothing."""
        if limit is not None and self._counts[name] >= limit:
            raise TooManyConnections(refusal, retry_after=RECONNECT_DELAY)
        self._counts[name] += 1

    async def check(self, name: str, limit: int | None, refusal: str | None = None) -> None:
        """Reports to Redis. Raises TooManyConnections if the total exceeds the limit."""
        if limit is None or not self._leases.active:
            return
        self._reported.add(name)
        total = await reply_in_time(self._leases.count(name, self._counts[name]))
        if total is not None and total > limit:
            raise TooManyConnections(refusal, retry_after=RECONNECT_DELAY)

    def release(self, name: str) -> None:
        """Undoes one `acquire`, in Redis too if it knows the name."""
        self._counts[name] -= 1
        left = self._counts[name]
        if not left:
            del self._counts[name]
        if name in self._reported:
            self._leases.count(name, left)
            if not left:
                self._reported.discard(name)

    def reported(self) -> Mapping[str, int]:
        """Returns the counts that were reported to Redis (see LeaseHolder)."""
        return {name: self._counts[name] for name in self._reported}
