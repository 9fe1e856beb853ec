"""How many sockets somebody has open, here and in all processes (contract §4).

The count of this process is exact and always holds; that of all processes is asked for when a
socket comes, and while Redis is away it is not asked for.
"""

from collections import Counter
from collections.abc import Mapping

from realtime.close_codes import RECONNECT_DELAY, TooManyConnections

from .leases import Leases, answered


class ConnectionCounter:
    """Counts by name, such as `user:3`. What is taken is given back, whatever `check` says."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()
        self._leases: Leases | None = None

    def share(self, leases: Leases) -> None:
        self._leases = leases

    def take(self, name: str, most: int | None, refusal: str | None = None) -> None:
        """Counts one in. Raises TooManyConnections, and then it was not."""
        if most is not None and self._counts[name] >= most:
            raise TooManyConnections(refusal, retry_after=RECONNECT_DELAY)
        self._counts[name] += 1

    async def check(self, name: str, most: int | None, refusal: str | None = None) -> None:
        """Tells the other processes. Raises TooManyConnections when there are too many in all."""
        if most is None or self._leases is None or not self._leases.active:
            return
        self._told.add(name)
        everywhere = await answered(self._leases.count(name, self._counts[name]))
        if everywhere is not None and everywhere > most:
            raise TooManyConnections(refusal, retry_after=RECONNECT_DELAY)

    def give_back(self, name: str) -> None:
        self._counts[name] -= 1
        left = self._counts[name]
        if not left:
            del self._counts[name]
        if self._leases is not None and name in self._told:
            self._leases.count(name, left)
            if not left:
                self._told.discard(name)

    def told(self) -> Mapping[str, int]:
        """What the other processes were told of."""
        return {name: self._counts[name] for name in self._told}
