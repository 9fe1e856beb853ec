"""Checks presence when a process is killed, and when one of two tabs closes."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Collection

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.frame_timeout import waiting_for

from .client import Client, sign_up
from .findings import Findings
from .installation import Installation
from .latency import FOREVER
from .records import Frame, Records, RoomRef

OFFLINE_TIMEOUT = 60.0
READY_TIMEOUT = 20.0
EXIT_TIMEOUT = 5.0
POLL_INTERVAL = 0.2
STAYS_ONLINE_DURATION = 2.0
"""Seconds in which no `exit` may come for a user with another tab."""
KILLED = 1
"""Index of the process that is killed; the others are watched."""


async def presence(
    installed: Installation, *, people: int = 20, name: str = "presence-"
) -> Findings:
    findings = Findings("presence")
    drill = PresenceDrill(installed, name, people)
    try:
        await drill.gather()
        await drill.two_tabs(findings)
        await drill.killed(findings)
    finally:
        await drill.close()
    return findings


Holds = Callable[[set[str]], bool]
"""A condition on the usernames that a process shows as online."""


class Tab:
    """Keeps a socket at its process and counts `exit` and `typing` frames."""

    def __init__(self, socket: ClientConnection, ready: Frame) -> None:
        self._socket = socket
        self.ready = ready
        self.received: Counter[tuple[str, str]] = Counter()
        """Number of frames by type and username."""
        self._receiving = asyncio.create_task(self._receive())

    @classmethod
    async def open(cls, client: Client, room: RoomRef, address: str) -> "Tab":
        url = f"ws://{address}{room.path}?token={client.account.access}"
        socket = await connect(url, compression=None, proxy=None, ping_interval=None)
        async with waiting_for("'ready' frame", READY_TIMEOUT, []):
            ready: Frame = json.loads(await socket.recv())
        return cls(socket, ready)

    async def _receive(self) -> None:
        try:
            async for text in self._socket:
                frame = json.loads(text)
                if frame["type"] in ("exit", "typing"):
                    self.received[frame["type"], frame["username"]] += 1
        except ConnectionClosed:
            pass  # The process was killed, or the tab closed.

    async def type(self) -> None:
        await self._socket.send(json.dumps({"type": "typing", "typing": True}))

    async def close(self) -> None:
        await self._socket.close()
        await self._receiving


class PresenceDrill:
    """Users on the process that is killed, and a watcher on each of the others."""

    def __init__(self, installed: Installation, name: str, people: int) -> None:
        self._installed = installed
        self._name = name
        self._addresses = installed.servers.addresses
        self._people = people
        self._clients: list[Client] = []
        self._room: RoomRef
        self._watchers: list[Tab] = []
        self._tabs: list[Tab] = []

    async def gather(self) -> None:
        records = Records()
        survivors = [one for n, one in enumerate(self._addresses) if n != KILLED]
        for number in range(self._people + 1 + len(survivors)):
            address = survivors[number % len(survivors)]
            self._clients.append(
                await sign_up(f"{self._name}{number}", lambda address=address: address, records)  # type: ignore[misc]
            )
        name = f"{self._name}room"
        body = {"name": name, "members": [one.account.username for one in self._clients[1:]]}
        answer = await self._clients[0].insist("POST", "/rooms", body)
        answer.raise_for_status()
        self._room = RoomRef(answer.json()["id"], name, "public")
        watching = self._clients[-len(survivors) :]
        for client, address in zip(watching, survivors, strict=True):
            self._watchers.append(await Tab.open(client, self._room, address))
        names = {client.account.username for client in watching}
        await self._until(lambda online: names <= online)
        await self._until_watchers_receive_frames()

    async def _until_watchers_receive_frames(self) -> None:
        """Right after a Redis outage an `exit` may be lost with the hints."""
        others = len(self._watchers) - 1
        async with asyncio.timeout(OFFLINE_TIMEOUT):
            while any(len(watcher.received) < others for watcher in self._watchers):
                for watcher in self._watchers:
                    await watcher.type()
                await asyncio.sleep(POLL_INTERVAL)

    async def close(self) -> None:
        for tab in self._watchers + self._tabs:
            await tab.close()
        for client in self._clients:
            await client.close()

    async def two_tabs(self, findings: Findings) -> None:
        """Closing one of two tabs sends no `exit`, closing the second one sends one."""
        one = self._clients[0]
        first, second = [await self._sit(one, number) for number in (0, -1)]
        await self._until(lambda online: one.account.username in online)
        await first.close()
        await asyncio.sleep(STAYS_ONLINE_DURATION)
        stays = await self._everywhere(lambda online: one.account.username in online)
        exits = self._exits({one.account.username})
        findings.expect(
            stays and not exits, "stays_online", f"one tab closed: {exits} exits received"
        )
        begun = time.monotonic()
        await second.close()
        took = await self._until(lambda online: one.account.username not in online, EXIT_TIMEOUT)
        await self._until_exits_received({one.account.username}, begun + EXIT_TIMEOUT)
        exits = self._exits({one.account.username})
        findings.expect(
            took <= EXIT_TIMEOUT and exits == len(self._watchers),
            "goes_with_the_last",
            f"both closed: offline everywhere after {took:.1f} s,"
            f" {exits} exits received by {len(self._watchers)} watchers",
        )

    async def killed(self, findings: Findings) -> None:
        """Kills the process of most users (kill -9); one user has a tab elsewhere."""
        double, others = self._clients[1], self._clients[2 : self._people + 1]
        names = {one.account.username for one in others}
        for client in [double, *others]:
            await self._sit(client, KILLED)
        await self._sit(double, 0)
        await self._until(lambda online: names <= online)
        begun = time.monotonic()
        await self._installed.servers.kill(KILLED)
        took = await self._until(lambda online: not names & online, OFFLINE_TIMEOUT, begun)
        await self._until_exits_received(names, begun + OFFLINE_TIMEOUT)
        exits, expected = self._exits(names), len(names) * len(self._watchers)
        findings.expect(
            took <= OFFLINE_TIMEOUT and exits == expected,
            "goes_with_the_process",
            f"{len(names)} users of a killed process: offline everywhere after {took:.1f} s,"
            f" {exits} of {expected} exits received",
        )
        stays = await self._everywhere(lambda online: double.account.username in online)
        exits = self._exits({double.account.username})
        findings.expect(
            stays and not exits,
            "stays_online",
            f"one with a tab elsewhere: {'online' if stays else 'offline'}, {exits} exits received",
        )

    async def _sit(self, client: Client, number: int) -> Tab:
        self._tabs.append(await Tab.open(client, self._room, self._addresses[number]))
        return self._tabs[-1]

    def _exits(self, names: Collection[str]) -> int:
        return sum(watcher.received["exit", name] for watcher in self._watchers for name in names)

    async def _until_exits_received(self, names: Collection[str], deadline: float) -> None:
        while self._exits(names) < len(names) * len(self._watchers):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(POLL_INTERVAL)

    async def _until(
        self, holds: Holds, within: float = OFFLINE_TIMEOUT, begun: float | None = None
    ) -> float:
        """Returns the seconds until the condition holds at every process."""
        begun = time.monotonic() if begun is None else begun
        while (passed := time.monotonic() - begun) <= within:
            if await self._everywhere(holds):
                return passed
            await asyncio.sleep(POLL_INTERVAL)
        return FOREVER

    async def _everywhere(self, holds: Holds) -> bool:
        answers = await asyncio.gather(*(self._online(one) for one in self._addresses))
        return all(holds(online) for online in answers)

    async def _online(self, address: str) -> set[str]:
        """Returns the usernames that one process shows as online."""
        path = f"/rooms/{self._room.id}/members?limit=200"
        while (answer := await self._clients[0].call("GET", path, at=address)) is None:
            await asyncio.sleep(POLL_INTERVAL)
        return {member["username"] for member in answer.json() if member["online"]}
