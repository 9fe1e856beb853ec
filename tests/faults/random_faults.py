"""Injects random faults: cut connections, frozen readers, removed members."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from .client import Client
from .client_socket import ClientSocket
from .cluster import Cluster
from .records import Removal

CHECK_INTERVAL = (0.05, 0.4)
MAX_CUT = 40_000
MAX_FREEZE = 2.0
MAX_DELAY = 0.05
AWAY = (0.1, 1.5)


class RandomFaults:
    def __init__(
        self,
        cluster: Cluster,
        owner: Client,
        sockets: Sequence[ClientSocket],
        rng: random.Random,
        *,
        away: tuple[float, float] = AWAY,
    ) -> None:
        self._cluster = cluster
        self._owner = owner
        self._sockets = sockets
        self._rng = rng
        self._away_for = away
        self.counts: dict[str, int] = {}

    async def run(self) -> None:
        """Injects one fault after another until cancelled, several at a time."""
        kinds: list[Callable[[], Coroutine[Any, Any, Any]]] = [
            self._cut,
            self._cut,
            self._hold_up,
            self._slow_down,
            self._freeze,
            self.remove,
        ]
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(self._rng.uniform(*CHECK_INTERVAL))
                group.create_task(self._rng.choice(kinds)())

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    async def _cut(self) -> None:
        """Cuts at a random byte, in the middle of frames and of HTTP responses."""
        if links := self._cluster.links:
            self._count("cuts")
            self._rng.choice(links).cut_after(self._rng.randint(1, MAX_CUT))

    async def _hold_up(self) -> None:
        if links := self._cluster.links:
            self._count("held up")
            link = self._rng.choice(links)
            link.freeze()
            try:
                await asyncio.sleep(self._rng.uniform(0.1, MAX_FREEZE))
            finally:
                link.thaw()

    async def _slow_down(self) -> None:
        if links := self._cluster.links:
            self._count("slowed down")
            self._rng.choice(links).delay = self._rng.uniform(0, MAX_DELAY)

    async def _freeze(self) -> None:
        self._count("frozen readers")
        await self._rng.choice(self._sockets).freeze(self._rng.uniform(0.1, MAX_FREEZE))

    async def remove(self, *, connected: bool = False) -> bool:
        """Removes a random member and adds the member again, even when cancelled.

        False when the chosen member cannot be removed, or is not `connected` as required.
        """
        socket = self._rng.choice(self._sockets)
        if socket.client is self._owner or not socket.allowed.is_set():
            return False
        if connected and not socket.connected:
            return False
        self._count("removals")
        socket.allowed.clear()
        await asyncio.shield(asyncio.ensure_future(self._away(socket)))
        return True

    async def _away(self, socket: ClientSocket) -> None:
        removal = Removal(
            socket.client.account.id, socket.room.id, time.monotonic(), await self._remove(socket)
        )
        self._owner.records.removals.append(removal)
        await asyncio.sleep(self._rng.uniform(*self._away_for))
        removal.added = time.monotonic()
        body = {"members": [socket.client.account.username]}
        answer = await self._owner.insist("POST", f"/rooms/{socket.room.id}/add-members", body)
        answer.raise_for_status()
        socket.allowed.set()

    async def _remove(self, socket: ClientSocket) -> int:
        """Returns the version of the removal, or a later one when the answer was lost."""
        path = f"/rooms/{socket.room.id}"
        name = socket.client.account.username
        answer = await self._owner.insist("DELETE", f"{path}/members/{name}")
        if answer.status_code != 200:
            answer = await self._owner.insist("GET", path)
        version: int = answer.json()["version"]
        return version
