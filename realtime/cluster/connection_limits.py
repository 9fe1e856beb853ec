"""Counts open sockets by user and address, here and over all processes (contract §4).

The count of this process is exact and always enforced. That of all processes is read from Redis
when a socket opens, and not enforced while Redis is away.
"""

from collections import Counter
from collections.abc import Mapping

from realtime.close_codes import RECONNECT_DELAY
from realtime.errors import TooManyConnections

from .leases import Leases, answered


class ConnectionCounter:
    """Counts by name, such as `user:3`. Each `acquire` needs a `release`, also if `check` fails."""

    def __init__(self, leases: Leases) -> None:
        self._counts: Counter[str] = Counter()
        self._reported: set[str] = set()
        self._leases = leases

    def acquire(self, name: str, most: int | None, refusal: str | None = None) -> None:
        """Counts one. Raises TooManyConnections, and then counts nothing."""
        if most is not None and self._counts[name] >= most:
            raise TooManyConnections(refusal, retry_after=RECONNECT_DELAY)
        self._counts[name] += 1

    async def check(self, name: str, most: int | None, refusal: str | None = None) -> None:
        """Reports to Redis. Raises TooManyConnections when all processes have too many together."""
        if most is None or not self._leases.active:
            return
        self._reported.add(name)
        everywhere = await answered(self._leases.count(name, self._counts[name]))
        if everywhere is not None and everywhere > most:
            raise TooManyConnections(refusal, retry_after=RECONNECT_DELAY)

    def release(self, name: str) -> None:
        self._counts[name] -= 1
        left = self._counts[name]
        if not left:
            del self._counts[name]
        if name in self._reported:
            self._leases.count(name, left)
            if not left:
                self._reported.discard(name)

    def reported(self) -> Mapping[str, int]:
        """The counts that Redis knows of."""
        return {name: self._counts[name] for name in self._reported}
