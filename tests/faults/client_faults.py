"""Cuts, stalls and drops the connections of clients, at times drawn beforehand."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from .cluster import Cluster
from .proxy import Link, Proxy

FAULTS = ("reset", "half a frame", "close", "stall", "black hole")
BETWEEN_KILLS = 2.0
"""Seconds at least from a restart to the next kill, in which clients get something done."""
MAX_BYTES = 2000
"""Bytes that pass before a connection is cut: less or more than a frame."""
STALL = 0.5, 4.0
"""Seconds for which bytes are held: some longer than a client waits for a pong."""
BLACK_HOLE = 15.0
"""Seconds for which nothing passes, before it is lost: every client has given up by then."""


class ClientFaults:
    """`cuts` faults of connections and `kills` of the server, within `seconds`."""

    def __init__(
        self,
        servers: Cluster,
        proxy: Proxy,
        rng: random.Random,
        *,
        cuts: int,
        kills: int,
        seconds: float,
        kinds: Sequence[str] = FAULTS,
    ) -> None:
        self._servers, self._proxy, self._rng = servers, proxy, rng
        self._kinds = kinds
        self._cuts, self._kills, self._seconds = cuts, kills, seconds
        self.counts: Counter[str] = Counter()
        self._holding: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as faults:
                faults.create_task(self._cut_connections())
                faults.create_task(self._kill_servers())
        finally:
            for task in self._holding:
                task.cancel()
            await asyncio.gather(*self._holding, return_exceptions=True)

    async def _cut_connections(self) -> None:
        """Waits for a connection where all are lost, so that each fault meets one."""
        async for _ in self._moments(self._cuts, least=0.0):
            while not (links := [link for link in self._proxy.links if not link.frozen]):
                await asyncio.sleep(0.01)
            fault = self._rng.choice(self._kinds)
            self._strike(fault, self._rng.choice(links))
            self.counts[fault] += 1

    async def _kill_servers(self) -> None:
        async for _ in self._moments(self._kills, least=BETWEEN_KILLS):
            await self._servers.kill(0)
            self.counts["kill"] += 1

    async def _moments(self, count: int, *, least: float) -> AsyncIterator[None]:
        """Yields at times drawn beforehand; what takes longer delays none of the later ones."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for moment in sorted(self._rng.uniform(0, self._seconds) for _ in range(count)):
            await asyncio.sleep(max(least, begun + moment - loop.time()))
            yield

    def _strike(self, fault: str, link: Link) -> None:
        match fault:
            case "reset":
                link.abort()
            case "close":
                link.close()
            case "half a frame":
                link.cut_after(self._rng.randrange(1, MAX_BYTES))
            case "stall":
                self._hold(link, self._rng.uniform(*STALL), lost=False)
            case _:
                self._hold(link, BLACK_HOLE, lost=True)

    def _hold(self, link: Link, seconds: float, *, lost: bool) -> None:
        """Holds bytes, and forwards or loses them afterwards."""
        link.freeze()
        task = asyncio.create_task(self._release(link, seconds, lost=lost))
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)

    async def _release(self, link: Link, seconds: float, *, lost: bool) -> None:
        try:
            await asyncio.sleep(seconds)
        finally:
            if lost:
                link.abort()
            link.thaw()
