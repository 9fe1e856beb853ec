"""Runs mixed load for minutes: memory, latency and SQLite's log stay flat."""

import asyncio
import gc
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import quote

import psutil
from typing_extensions import override

from tests.frame_timeout import waiting_for
from tests.raw_websocket import RawSocket, handshake, host_and_port

from . import latency
from .client import Client, sign_up
from .cluster import cluster
from .findings import Findings
from .records import Records, RoomRef

ROOMS = 20
SOCKETS_PER_ROOM = 10
PEOPLE = 40
SIGN_UPS_AT_ONCE = 8
READY_TIMEOUT = 10.0
RECENT = 50
"""Messages of a room that are still edited and reacted to."""
MESSAGES, TYPING = 40.0, 20.0
"""Of all, a second."""
EDITS, REACTIONS, RECONNECTS, PAGES = 4.0, 8.0, 4.0, 6.0
SAMPLES_INTERVAL = 0.25
MAX_LOG = 18 * 2**20
"""Bytes. SQLite begins its log anew at 16 MB; a commit may be longer than what is left of it."""
EMOJI = "🎉"


@dataclass(frozen=True, slots=True)
class Endurance:
    """`warm` seconds are not judged: meanwhile caches fill and late imports happen."""

    seconds: float = 600.0
    warm: float = 30.0
    growth: float = 0.10
    """By which share of itself memory may grow from the first third to the last."""
    delay: float = 2.0
    """How many times its p99 of the first third a delivery may take in the last."""
    noise: float = 0.010
    """Seconds of p99 that are ignored: client and server share their cores with other processes."""


@dataclass(slots=True)
class Third:
    memory: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


async def soak(endurance: Endurance, folder: Path) -> Findings:
    findings = Findings("soak")
    async with cluster(
        folder, kind="uvicorn", processes=1, application="config.asgi:application"
    ) as servers:
        server = servers.servers[0]
        workload = await Soak.prepare(f"127.0.0.1:{server.port}")
        try:
            gc.freeze()  # a collection here would count as a delay there
            thirds, log = await _watch(
                workload, endurance, psutil.Process(server.process.pid), folder / "chat.sqlite3-wal"
            )
        finally:
            gc.unfreeze()
            await workload.close()
    _judge(findings, endurance, workload, thirds, log)
    return findings


async def _watch(
    workload: "Soak", endurance: Endurance, server: psutil.Process, log: Path
) -> tuple[list[Third], int]:
    """Returns each third of the time, and the largest size of the log."""
    largest = 0
    working = asyncio.create_task(workload.work())
    try:
        await asyncio.sleep(endurance.warm)
        thirds = [Third() for _ in range(3)]
        for third in thirds:
            workload.delays = third.delays
            end = time.monotonic() + endurance.seconds / 3
            while time.monotonic() < end:
                third.memory.append(server.memory_info().rss)
                largest = max(largest, log.stat().st_size if log.exists() else 0)
                if working.done():
                    await working  # raises what ended it
                await asyncio.sleep(SAMPLES_INTERVAL)
        return thirds, largest
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def _judge(
    findings: Findings, endurance: Endurance, workload: "Soak", thirds: Sequence[Third], log: int
) -> None:
    first, last = thirds[0], thirds[-1]
    before, after = median(first.memory), median(last.memory)
    findings.note(f"{endurance.seconds:.0f} s, {workload.summary()}")
    findings.expect(
        after <= before * (1 + endurance.growth),
        "memory",
        f"memory {before / 2**20:.0f} MiB in the first third, {after / 2**20:.0f} MiB in the last",
    )
    sooner, later = latency.of(first.delays), latency.of(last.delays)
    findings.expect(
        later.p99 <= sooner.p99 * endurance.delay + endurance.noise,
        "delay",
        f"deliveries {sooner} in the first third, {later} in the last",
    )
    findings.expect(log <= MAX_LOG, "log", f"SQLite's log at most {log / 2**20:.1f} MiB")
    errors = workload.records.errors
    findings.expect(not errors, "errors", f"{len(errors)} errors {errors[:3] or ''}".rstrip())
    findings.expect(not workload.cut, "innocent", f"{workload.cut} sockets closed by the server")


class SoakSocket(RawSocket):
    """One socket in one room. Measures delays and keeps the version to resume from."""

    def __init__(self, workload: "Soak") -> None:
        super().__init__()
        self._workload = workload
        self.room: RoomRef
        self.client: Client
        self.version = 0
        self.ready = asyncio.Event()

    @override
    def text_received(self, text: bytes) -> None:
        frame = json.loads(text)
        kind = frame["type"]
        if kind == "message":
            self._workload.delays.append(time.monotonic() - float(frame["message"].split()[0]))
            if frame["sender"] == self.client.account.id:
                self._workload.note_message(self.room, self.client, frame["id"])
        elif kind == "ready":
            self.version = max(self.version, frame["version"])
            self.ready.set()
        elif kind == "error" and frame["code"] == "internal":
            self._workload.records.errors.append(f"on a socket: {frame}")
        self.version = max(self.version, frame.get("version") or 0)


class Soak:
    """200 sockets in 20 rooms. Their users do everything at steady rates."""

    def __init__(self, clients: list[Client], records: Records) -> None:
        self.records = records
        self.delays: list[float] = []
        self.cut = 0
        self._clients = clients
        self._rooms: list[RoomRef] = []
        self._sockets: list[SoakSocket] = []
        self._rng = random.Random(7)
        self._recent: dict[int, list[tuple[Client, int]]] = {}
        self._done: dict[str, int] = {}

    @classmethod
    async def prepare(cls, address: str) -> "Soak":
        records, few = Records(), asyncio.Semaphore(SIGN_UPS_AT_ONCE)

        async def one(number: int) -> Client:
            async with few:
                return await sign_up(f"person{number}", lambda: address, records)

        workload = cls(await asyncio.gather(*(one(number) for number in range(PEOPLE))), records)
        for number in range(ROOMS):
            await workload._fill_room(number)
        return workload

    async def _fill_room(self, number: int) -> None:
        """Each room shares half of its members with the next one."""
        first = number * SOCKETS_PER_ROOM // 2
        members = [self._clients[(first + one) % PEOPLE] for one in range(SOCKETS_PER_ROOM)]
        names = [client.account.username for client in members[1:]]
        body = {"name": f"room{number}", "kind": "group", "members": names}
        answer = await members[0].insist("POST", "/rooms", body)
        answer.raise_for_status()
        room = RoomRef(answer.json()["id"], f"room{number}", "group")
        self._rooms.append(room)
        self._recent[room.id] = []
        for client in members:
            self._sockets.append(await self._open(client, room))

    async def close(self) -> None:
        for one in self._sockets:
            one.end()
        for client in self._clients:
            await client.close()

    def summary(self) -> str:
        return ", ".join(f"{count} {what}" for what, count in sorted(self._done.items()))

    def note_message(self, room: RoomRef, client: Client, message_id: int) -> None:
        recent = self._recent[room.id]
        recent.append((client, message_id))
        del recent[:-RECENT]

    async def work(self) -> None:
        """Runs all actions until cancelled."""
        async with asyncio.TaskGroup() as group:
            for rate, act in (
                (MESSAGES, self._send),
                (TYPING, self._type),
                (EDITS, self._edit),
                (REACTIONS, self._react),
                (RECONNECTS, self._reconnect),
                (PAGES, self._read),
            ):
                group.create_task(self._steadily(rate, act))

    async def _steadily(self, rate: float, act: Callable[[], Awaitable[str]]) -> None:
        """Starts actions at a fixed rate: a slow server does not slow down the load."""

        async def once() -> None:
            what = await act()
            self._done[what] = self._done.get(what, 0) + 1

        start, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while True:
                number += 1
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
                group.create_task(once())

    def _someone(self) -> SoakSocket:
        return self._rng.choice([one for one in self._sockets if one.ready.is_set()])

    async def _send(self) -> str:
        text = f"{time.monotonic():.6f} {'words ' * self._rng.randint(1, 40)}"
        self._someone().send(json.dumps({"type": "message", "message": text}).encode())
        return "messages"

    async def _type(self) -> str:
        self._someone().send(b'{"type":"typing"}')
        return "typing frames"

    async def _edit(self) -> str:
        found = self._chosen()
        if found is None:
            return "edits left out"
        room, client, message = found
        text = f"{time.monotonic():.6f} edited"
        await client.call("PATCH", f"/rooms/{room.id}/messages/{message}", {"content": text})
        return "edits"

    async def _react(self) -> str:
        found = self._chosen()
        if found is None:
            return "reactions left out"
        room, client, message = found
        method = self._rng.choice(["PUT", "PUT", "DELETE"])
        path = f"/rooms/{room.id}/messages/{message}/reactions/{quote(EMOJI)}"
        await client.call(method, path)
        return "reactions"

    def _chosen(self) -> tuple[RoomRef, Client, int] | None:
        """Returns a recent message of a room, and its sender."""
        room = self._rng.choice(self._rooms)
        if not self._recent[room.id]:
            return None
        return (room, *self._rng.choice(self._recent[room.id]))

    async def _read(self) -> str:
        one = self._someone()
        path = self._rng.choice(["/my-rooms", f"/rooms/{one.room.id}/messages?limit=50"])
        await one.client.call("GET", path)
        return "pages"

    async def _reconnect(self) -> str:
        """Cuts a socket and reconnects with `since`."""
        old = self._someone()
        old.ready.clear()
        old.end()
        at = self._sockets.index(old)
        self._sockets[at] = await self._open(old.client, old.room, old.version)
        return "reconnects"

    def _note_end(self, ended: asyncio.Future[None]) -> None:
        """Counts sockets that the server ended: these end with an exception."""
        self.cut += ended.exception() is not None

    async def _open(self, client: Client, room: RoomRef, since: int | None = None) -> SoakSocket:
        url = f"ws://{client.address()}{room.path}?token={client.account.access}"
        if since is not None:
            url = f"{url}&since={since}"
        _, opened = await asyncio.get_running_loop().create_connection(
            lambda: SoakSocket(self), *host_and_port(url)
        )
        opened.client, opened.room, opened.version = client, room, since or 0
        opened.ended.add_done_callback(self._note_end)
        opened.transport.write(handshake(url))
        async with waiting_for("'ready' frame", READY_TIMEOUT, []):
            await opened.ready.wait()
        return opened
