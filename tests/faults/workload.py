"""Runs clients that chat while a drill injects faults, then checks."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from .checker import Evidence, Violation, check
from .client import Client, sign_up
from .client_socket import ClientSocket
from .cluster import Cluster
from .events_client import EventsClient
from .findings import Findings
from .history import read_quiet_room
from .records import Records, RoomRef
from .sender import MessageBudget, Sender

PEOPLE = 8
SENDERS_PER_SOCKET = 2
FURTHER_ROOMS = 17
"""Rooms that only sockets of all rooms follow: each of these follows 20."""
SETTLES_TIMEOUT = 40.0
RELEASES_INTERVAL = 0.1


@asynccontextmanager
async def workload_running(
    servers: Cluster, name: str, *, follow_all: bool = False
) -> AsyncIterator["Workload"]:
    workload = Workload(servers, random.Random(), name=name, follow_all=follow_all)
    try:
        await workload.prepare()
        yield workload
    finally:
        await workload.close()


class Workload:
    """`name` prefixes users and rooms: several workloads may share an installation."""

    def __init__(
        self,
        servers: Cluster,
        rng: random.Random,
        *,
        name: str = "",
        people: int = PEOPLE,
        follow_all: bool = False,
        settles_within: float = SETTLES_TIMEOUT,
    ) -> None:
        self.servers = servers
        self.rng = rng
        self.records = Records()
        self.budget = MessageBudget()
        self.clients: list[Client] = []
        self.rooms: list[RoomRef] = []
        self.sockets: list[ClientSocket] = []
        self._name = name
        self._people = people
        self._follow_all = follow_all
        self._settles_within = settles_within
        self._staying: list[asyncio.Task[None]] = []

    # Before

    async def prepare(self) -> None:
        for number in range(self._people):
            rng = random.Random(self.rng.random())
            self.clients.append(
                await sign_up(
                    f"{self._name}person{number}",
                    lambda rng=rng: self.servers.address(rng),  # type: ignore[misc]
                    self.records,
                )
            )
        self.rooms = [
            await self._make_room("square", "public"),
            await self._make_room("team", "group"),
            await self._make_room("crew", "group"),
        ]
        self.sockets = [
            ClientSocket(client, room, random.Random(self.rng.random()))
            for room in self.rooms
            for client in self.clients
        ]
        self._staying = [asyncio.create_task(socket.stay()) for socket in self.sockets]
        if self._follow_all:
            await self._follow_all_rooms()

    async def _follow_all_rooms(self) -> None:
        """Gives each client a socket of all rooms too, each room a socket to the drill."""
        self.rooms += [
            await self._make_room(f"further{number}", "group") for number in range(FURTHER_ROOMS)
        ]
        allowed = {(one.client.account.id, one.room.id): one.allowed for one in self.sockets}
        for client in self.clients:
            events = EventsClient(client, self.rooms, random.Random(self.rng.random()))
            for room in events.rooms.values():
                # A removal ends the room on both sockets of its user.
                room.allowed = allowed.get((client.account.id, room.room.id), room.allowed)
            self.sockets += events.rooms.values()
            self._staying.append(asyncio.create_task(events.stay()))

    async def _make_room(self, name: str, kind: Literal["public", "group"]) -> RoomRef:
        name = f"{self._name}{name}"
        members = [client.account.username for client in self.clients[1:]]
        body = {"name": name, "kind": kind, "members": members}
        answer = await self.clients[0].insist("POST", "/rooms", body)
        answer.raise_for_status()
        return RoomRef(answer.json()["id"], name, kind)

    async def gathered(self) -> None:
        """Waits until every client has a socket in every room."""
        while not all(socket.connected for socket in self.sockets):
            await asyncio.sleep(0.02)

    # During

    async def during(
        self, trouble: Coroutine[Any, Any, None], *, rate: float | None = None, at_least: int = 0
    ) -> None:
        """Sends while `trouble` runs, and until `at_least` messages are acknowledged.

        At `rate` messages a second, or as many as the trouble releases.
        """
        senders = [
            Sender(
                socket,
                f"{type(socket).__name__}{number}",
                self.budget,
                random.Random(self.rng.random()),
            )
            for socket in self.sockets
            for number in range(SENDERS_PER_SOCKET)
        ]
        async with asyncio.TaskGroup() as writing:
            for sender in senders:
                writing.create_task(sender.write())
            pacing = asyncio.create_task(self._pace(rate or 0.0))
            try:
                await trouble
                await self.budget.reached(at_least)
            finally:
                pacing.cancel()
            self.budget.close(len(senders))

    async def _pace(self, rate: float) -> None:
        """Releases messages until cancelled; missed ones are not made up for."""
        owed = 0.0
        while True:
            owed += rate * RELEASES_INTERVAL
            self.budget.release(max(0, int(owed) - self.budget.left))
            owed -= int(owed)
            await asyncio.sleep(RELEASES_INTERVAL)

    # Afterwards

    async def conclude(self, findings: Findings) -> None:
        findings.note(self.records.summary())
        findings.violations += await self.judge()

    async def judge(self) -> list[Violation]:
        """Reads the history, waits until every client should have it, and checks."""
        await self._wait_for_removed_members()
        for link in self.servers.links:
            link.delay = 0.0
        # Together: each waits, and there are up to twenty.
        rooms = await asyncio.gather(
            *(read_quiet_room(self.clients[0], room) for room in self.rooms)
        )
        late = await self._late({room.id: room.version for room in rooms})
        for task in self._staying:
            task.cancel()
        await asyncio.gather(*self._staying, return_exceptions=True)
        views = [(one.client.account.id, one.room.id, one.view.shown()) for one in self.sockets]
        return late + check(Evidence(self.records, {room.id: room for room in rooms}, views))

    async def _wait_for_removed_members(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settles_within):
                await asyncio.gather(*(socket.allowed.wait() for socket in self.sockets))

    async def _late(self, versions: dict[int, int]) -> list[Violation]:
        deadline = time.monotonic() + self._settles_within
        behind: Sequence[ClientSocket] = self.sockets
        while behind and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
            behind = [socket for socket in behind if socket.view.version < versions[socket.room.id]]
        return [
            Violation(
                "every_client_catches_up",
                f"user {socket.client.account.id} in room {socket.room.id} is at"
                f" {socket.view.version} of {versions[socket.room.id]}; {socket.last_frames}",
            )
            for socket in behind
        ]

    async def close(self) -> None:
        for task in self._staying:
            task.cancel()
        await asyncio.gather(*self._staying, return_exceptions=True)
        for client in self.clients:
            await client.close()
