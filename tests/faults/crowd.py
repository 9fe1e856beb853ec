"""Everybody comes back at the same moment: a server was killed, and all its sockets resume."""

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from typing_extensions import override

from .checker import Violation
from .client import Client, sign_up
from .cluster import Cluster, cluster
from .notes import Notes, RoomRef
from .raw import RawSocket, handshake, place

SIGN_UPS_AT_ONCE = 16
SEEN_BEFORE = 100
MISSED = 50
CAUGHT_UP_TIMEOUT = 10.0
GIVES_UP_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class Return:
    """What a whole crowd met on its way back."""

    people: int
    kind: str
    seconds: float
    median: float
    tries: int
    work: float
    """Seconds of the server's processor."""
    violations: list[Violation]

    @override
    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.people} clients came back at once, each heard {MISSED} messages:"
            f" all after {self.seconds:.1f} s, half after {self.median:.1f} s, {self.tries} tries,"
            f" {self.work:.1f} s of the server's processor: {len(self.violations)} violations"
        )


async def reconnect(people: int, folder: Path, *, kind: str = "uvicorn") -> Return:
    async with cluster(
        folder, kind=kind, processes=1, application="config.asgi:application"
    ) as servers:
        crowd = await Crowd.gather(servers, people)
        try:
            await crowd.say(SEEN_BEFORE)
            await servers.kill(0)
            await crowd.say(MISSED)
            return await crowd.come_back(kind, psutil.Process(servers.servers[0].process.pid))
        finally:
            await crowd.close()


class Crowd:
    def __init__(self, clients: list[Client], room: RoomRef) -> None:
        self._clients = clients
        self._room = room
        self._tries = 0

    @classmethod
    async def gather(cls, servers: Cluster, people: int) -> "Crowd":
        # Past the proxy: a thousand more connections in this process would be the thing measured.
        address = f"127.0.0.1:{servers.servers[0].port}"
        notes, few = Notes(), asyncio.Semaphore(SIGN_UPS_AT_ONCE)

        async def one(number: int) -> Client:
            async with few:
                return await sign_up(f"person{number}", lambda: address, notes)

        clients = await asyncio.gather(*(one(number) for number in range(people)))
        # Members already, as somebody who comes back is.
        members = [client.account.username for client in clients[1:]]
        body = {"name": "crowd", "members": members}
        answer = await clients[0].insist("POST", "/rooms", body)
        answer.raise_for_status()
        return cls(clients, RoomRef(answer.json()["id"], "crowd", "public"))

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def say(self, count: int) -> None:
        for number in range(count):
            body = {"content": f"word {number}"}
            answer = await self._clients[0].insist("POST", f"/rooms/{self._room.id}/messages", body)
            answer.raise_for_status()

    async def come_back(self, kind: str, server: psutil.Process) -> Return:
        begun, work = time.monotonic(), server.cpu_times()
        results = await asyncio.gather(
            *(self._catch_up(client) for client in self._clients), return_exceptions=True
        )
        took = sorted(one - begun for one in results if isinstance(one, float))
        violations = [
            Violation("comes_back", f"{type(one).__name__}: {one}")
            for one in results
            if isinstance(one, BaseException)
        ]
        seconds = took[-1] if took else GIVES_UP_DELAY
        if violations or seconds > CAUGHT_UP_TIMEOUT:
            violations.append(Violation("in_time", f"all caught up after {seconds:.1f} s"))
        median = took[len(took) // 2] if took else GIVES_UP_DELAY
        worked = sum(server.cpu_times()[:2]) - sum(work[:2])
        return Return(len(self._clients), kind, seconds, median, self._tries, worked, violations)

    async def _catch_up(self, client: Client) -> float:
        """The moment at which it knew everything. Tries again as a client does."""
        url = f"ws://{client.address()}{self._room.path}"
        url = f"{url}?token={client.account.access}&since={SEEN_BEFORE}"
        async with asyncio.timeout(GIVES_UP_DELAY):
            while True:
                self._tries += 1
                try:
                    await self._resume(url)
                    return time.monotonic()
                except OSError:
                    await asyncio.sleep(random.uniform(0.2, 1.0))

    async def _resume(self, url: str) -> None:
        """Raises AssertionError when anything but what was missed came, OSError when it ended."""
        _, socket = await asyncio.get_running_loop().create_connection(Returning, *place(url))
        socket.transport.write(handshake(url))
        await socket.ended


class Returning(RawSocket):
    """Hears what it missed, in order, and goes."""

    def __init__(self) -> None:
        super().__init__()
        self._versions: list[int] = []

    @override
    def hear(self, text: bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "message":
            self._versions.append(frame["version"])
        elif frame["type"] == "resumed":
            assert frame["complete"], frame
            expected = list(range(SEEN_BEFORE + 1, SEEN_BEFORE + MISSED + 1))
            assert self._versions == expected, self._versions
            self.end()
