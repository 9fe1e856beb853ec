"""Kills a server and lets all its clients resume at the same moment."""

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from typing_extensions import override

from tests.frame_timeout import waiting_for
from tests.raw_websocket import RawSocket, handshake, host_and_port

from .checker import Violation
from .client import Client, sign_up
from .cluster import Cluster, cluster
from .records import Frame, Records, RoomRef

SIGN_UPS_AT_ONCE = 16
SENT_BEFORE = 100
MISSED = 50
CAUGHT_UP_TIMEOUT = 10.0
GIVES_UP_DELAY = 60.0


@dataclass(frozen=True, slots=True)
class ReconnectResult:
    """Result of a mass reconnect."""

    people: int
    kind: str
    seconds: float
    median: float
    tries: int
    work: float
    """CPU seconds of the server."""
    violations: list[Violation]

    @override
    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.people} clients reconnected at once,"
            f" each received {MISSED} missed messages:"
            f" all after {self.seconds:.1f} s, half after {self.median:.1f} s, {self.tries} tries,"
            f" {self.work:.1f} s of the server's processor: {len(self.violations)} violations"
        )


async def reconnect(people: int, folder: Path, *, kind: str = "uvicorn") -> ReconnectResult:
    async with cluster(
        folder, kind=kind, processes=1, application="config.asgi:application"
    ) as servers:
        clients = await ReconnectingClients.gather(servers, people)
        try:
            await clients.send(SENT_BEFORE)
            await servers.kill(0)
            await clients.send(MISSED)
            return await clients.come_back(kind, psutil.Process(servers.servers[0].process.pid))
        finally:
            await clients.close()


class ReconnectingClients:
    def __init__(self, clients: list[Client], room: RoomRef) -> None:
        self._clients = clients
        self._room = room
        self._tries = 0

    @classmethod
    async def gather(cls, servers: Cluster, people: int) -> "ReconnectingClients":
        # Past the proxy: a thousand more connections in this process would distort the result.
        address = f"127.0.0.1:{servers.servers[0].port}"
        records, few = Records(), asyncio.Semaphore(SIGN_UPS_AT_ONCE)

        async def one(number: int) -> Client:
            async with few:
                return await sign_up(f"person{number}", lambda: address, records)

        clients = await asyncio.gather(*(one(number) for number in range(people)))
        # Members already, as reconnecting clients are.
        members = [client.account.username for client in clients[1:]]
        body = {"name": "reconnect", "members": members}
        answer = await clients[0].insist("POST", "/rooms", body)
        answer.raise_for_status()
        return cls(clients, RoomRef(answer.json()["id"], "reconnect", "public"))

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def send(self, count: int) -> None:
        for number in range(count):
            body = {"content": f"word {number}"}
            answer = await self._clients[0].insist("POST", f"/rooms/{self._room.id}/messages", body)
            answer.raise_for_status()

    async def come_back(self, kind: str, server: psutil.Process) -> ReconnectResult:
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
        return ReconnectResult(
            len(self._clients), kind, seconds, median, self._tries, worked, violations
        )

    async def _catch_up(self, client: Client) -> float:
        """Retries as a client does; returns the moment when it was up to date."""
        url = f"ws://{client.address()}{self._room.path}"
        url = f"{url}?token={client.account.access}&since={SENT_BEFORE}"
        received: list[Frame] = []
        async with waiting_for("'resumed' frame", GIVES_UP_DELAY, received):
            while True:
                self._tries += 1
                try:
                    await self._resume(url, received)
                    return time.monotonic()
                except OSError:
                    await asyncio.sleep(random.uniform(0.2, 1.0))

    async def _resume(self, url: str, received: list[Frame]) -> None:
        """Raises AssertionError on an unexpected replay, OSError at the end."""
        _, socket = await asyncio.get_running_loop().create_connection(
            lambda: ResumingSocket(received), *host_and_port(url)
        )
        socket.transport.write(handshake(url))
        await socket.ended


class ResumingSocket(RawSocket):
    """Receives the missed messages in order, then disconnects."""

    def __init__(self, received: list[Frame]) -> None:
        super().__init__()
        self._received = received
        self._versions: list[int] = []

    @override
    def text_received(self, text: bytes) -> None:
        frame = json.loads(text)
        if frame["type"] == "message":
            self._versions.append(frame["version"])
        elif frame["type"] == "resumed":
            assert frame["complete"], frame
            expected = list(range(SENT_BEFORE + 1, SENT_BEFORE + MISSED + 1))
            assert self._versions == expected, self._versions
            self.end()
