"""Readers that never read, in a room that carries much: they may cost little and delay nobody."""

import asyncio
import gc
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from statistics import quantiles

import psutil
from typing_extensions import override

from .checker import Violation
from .client import Client, sign_up
from .cluster import cluster
from .notes import Notes, RoomRef
from .raw import Drain, RawSocket, handshake, masked, place

CHARACTERS, LETTER = 4000, "\N{CAT FACE}"
"""The longest message, of four bytes a character: two cores carry more bytes in fewer frames."""
LENGTH = CHARACTERS * len(LETTER.encode())
"""Bytes of each message; the moment it was sent is in there and makes it a few shorter."""
PROBES = 5
"""Sockets that speak and measure; all other readers only swallow bytes."""
MEASURE_DURATION = 12.0
TRY_TIMEOUT = 3.0
SETTLES_TIMEOUT = 4.0
GONE_TIMEOUT = 15.0
MAX_MEMORY = 2 * 1024 * 1024
"""Bytes of the server's memory for each stuck socket."""
FOREVER = float("inf")
LOOKS_INTERVAL = 0.5
HEADROOM = 0.7
STEP = 1.5
KEEPS_UP = 0.3
LEAST_RATE = 500_000.0
MAX_DELAY = 2.0
"""Times the others' p99 without the stuck ones."""
NOISE = 0.010
"""Seconds of p99 that say nothing: two processes share two cores with everything else."""


@dataclass(frozen=True, slots=True)
class Burden:
    """`rate`: bytes a second to each socket."""

    sockets: int = 500
    stuck: int = 50
    rate: float = 2_000_000.0
    kind: str = "uvicorn"
    seconds: float = MEASURE_DURATION


@dataclass(slots=True)
class Cost:
    burden: Burden
    carried: float = 0.0
    quiet: float = 0.0
    stuck: float = 0.0
    memory: float = 0.0
    gone: float = 0.0
    cut: int = 0

    @property
    def violations(self) -> list[Violation]:
        found = []
        if self.memory > MAX_MEMORY:
            found.append(
                Violation("memory", f"{self.memory / 2**20:.1f} MiB for each stuck socket")
            )
        if self.gone > GONE_TIMEOUT:
            found.append(Violation("gone", f"stuck sockets are open after {self.gone:.1f} s"))
        if self.cut:
            found.append(Violation("innocent", f"{self.cut} readers were cut off"))
        if self.stuck > MAX_DELAY * self.quiet + NOISE:
            found.append(Violation("delay", f"p99 {self.quiet:.4f} s became {self.stuck:.4f} s"))
        return found

    @override
    def __str__(self) -> str:
        burden = self.burden
        return (
            f"{burden.kind}: {burden.stuck} of {burden.sockets} sockets never read at"
            f" {self.carried / 1e6:.2f} MB/s to each: {self.memory / 2**20:.2f} MiB for each,"
            f" gone after {self.gone:.1f} s, the others' p99 {self.quiet * 1000:.1f} ms before and"
            f" {self.stuck * 1000:.1f} ms meanwhile: {len(self.violations)} violations"
        )


async def slow(burden: Burden, folder: Path) -> Cost:
    async with cluster(
        folder, kind=burden.kind, processes=1, application="config.asgi:application"
    ) as servers:
        server = servers.servers[0]
        address = f"127.0.0.1:{server.port}"
        client = await sign_up("person", lambda: address, Notes())
        answer = await client.insist("POST", "/rooms", {"name": "loud"})
        answer.raise_for_status()
        room = RoomRef(answer.json()["id"], "loud", "public")
        try:
            async with asyncio.timeout(300):
                return await _measure(burden, client, room, psutil.Process(server.process.pid))
        finally:
            gc.unfreeze()
            await client.close()


async def _measure(burden: Burden, client: Client, room: RoomRef, server: psutil.Process) -> Cost:
    cost = Cost(burden)
    url = f"ws://{client.address()}{room.path}?token={client.account.access}"
    probes = [await Probe.open(url) for _ in range(PROBES)]
    drains = [await Drain.open(url) for _ in range(burden.sockets - burden.stuck - PROBES)]
    gc.freeze()  # a collection here would count as a delay there
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(probe.speak()) for probe in probes]
        # The same work of this process in both phases: it must not be what the others wait for.
        watch = group.create_task(_watch(server, [], 0))
        cost.quiet = await _quiet(probes, burden)
        watch.cancel()
        memory = server.memory_info().rss
        stuck = [Stuck(url, speaks=number % 2 == 0) for number in range(burden.stuck)]
        watch = group.create_task(_watch(server, stuck, memory))
        cost.stuck, cost.carried = await _p99(probes, burden.seconds)
        peak, cost.gone = await watch
        cost.memory = (peak - memory) / burden.stuck
        for task in tasks:
            task.cancel()
    cost.cut = sum(drain.lost for drain in drains)
    for drain in drains:
        drain.close()
    for one in stuck:
        one.close()
    for probe in probes:
        probe.end()
    return cost


async def _quiet(probes: "Sequence[Probe]", burden: Burden) -> float:
    """p99 with readers only, at the rate asked for or with headroom below what is kept up.

    A server that cannot keep up would show nothing but its own queue, stuck sockets or not.
    """
    rate = most = burden.rate
    while rate > LEAST_RATE:
        rate /= 2
    _pace(probes, rate)
    await asyncio.sleep(SETTLES_TIMEOUT)  # hundreds of sockets are still on their way in
    while rate < most and await _keeps_up(probes, min(STEP * rate, most)):
        rate = min(STEP * rate, most)
    if rate < most:
        rate *= HEADROOM
    while True:
        _pace(probes, rate)
        await asyncio.sleep(SETTLES_TIMEOUT)
        quiet, _ = await _p99(probes, burden.seconds)
        if quiet < KEEPS_UP or rate < LEAST_RATE:
            return quiet
        rate *= HEADROOM


def _pace(probes: "Sequence[Probe]", rate: float) -> None:
    for probe in probes:
        probe.pause = PROBES * LENGTH / rate


async def _keeps_up(probes: "Sequence[Probe]", rate: float) -> bool:
    _pace(probes, rate)
    p99, carried = await _p99(probes, TRY_TIMEOUT)
    return p99 < KEEPS_UP and carried > 0.9 * rate


async def _p99(probes: "Sequence[Probe]", seconds: float) -> tuple[float, float]:
    """The 99th percentile of what the probes hear from now on, and bytes a second to each."""
    for probe in probes:
        probe.delays.clear()
    await asyncio.sleep(seconds)
    delays = [delay for probe in probes for delay in probe.delays]
    if len(delays) < 100:
        return float("inf"), 0.0
    return quantiles(delays, n=100)[98], len(delays) / PROBES * LENGTH / seconds


async def _watch(
    server: psutil.Process, stuck: "Sequence[Stuck]", before: int
) -> tuple[int, float]:
    """The most memory until the last stuck socket is gone from the server, and when that was."""
    begun, peak = time.monotonic(), before
    ports, seen = {one.port for one in stuck}, set[int]()
    while (passed := time.monotonic() - begun) < (2 * GONE_TIMEOUT if ports else FOREVER):
        for one in stuck:
            one.speak()
        peak = max(peak, server.memory_info().rss)
        there = ports & set(await asyncio.to_thread(_open_ports, server))
        seen |= there
        if ports and seen == ports and not there:
            break
        await asyncio.sleep(LOOKS_INTERVAL)
    return peak, passed


def _open_ports(server: psutil.Process) -> Iterator[int]:
    """The client's side of each connection that the process holds."""
    for connection in server.net_connections(kind="tcp4"):
        if connection.raddr:
            yield connection.raddr.port


class Probe(RawSocket):
    """Speaks at a steady `pause` and measures how long what anybody says takes to come back."""

    def __init__(self) -> None:
        super().__init__()
        self.pause = 1.0
        self.delays: list[float] = []

    @classmethod
    async def open(cls, url: str) -> "Probe":
        _, probe = await asyncio.get_running_loop().create_connection(cls, *place(url))
        probe.transport.write(handshake(url))
        return probe

    async def speak(self) -> None:
        """Without waiting for answers: a server that slows down is not spared."""
        # Out of step with the others, or they would measure how they wait for each other.
        due = time.monotonic() + uniform(0, self.pause)
        while not self.ended.done():
            text = f"{time.monotonic():.6f} ".ljust(CHARACTERS, LETTER)
            self.say(json.dumps({"message": text}, ensure_ascii=False).encode())
            due = max(due + self.pause * uniform(0.5, 1.5), time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        self.ended.result()

    @override
    def hear(self, text: bytes) -> None:
        at = text.find(b'"message":"')
        if at >= 0:
            self.delays.append(time.monotonic() - float(text[at + 11 : at + 60].split(b" ")[0]))


class Stuck:
    """Signs in and never reads a byte; it may go on speaking all the same."""

    def __init__(self, url: str, *, speaks: bool) -> None:
        self._socket = socket.create_connection(place(url), timeout=10)
        self._socket.sendall(handshake(url))
        self._socket.setblocking(False)
        self._speaks = speaks
        self.port: int = self._socket.getsockname()[1]

    def speak(self) -> None:
        if self._speaks:
            with suppress(OSError):
                self._socket.send(masked(b'{"type":"ping","ref":"' + b"x" * 64 + b'"}'))
                self._socket.send(masked(b'{"type":"typing"}'))

    def close(self) -> None:
        self._socket.close()
