"""Measures what clients that never read cost a busy server and its other clients."""

import asyncio
import gc
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import uniform
from statistics import median, quantiles

import psutil
from typing_extensions import override

from tests.raw_websocket import Drain, RawSocket, handshake, host_and_port, masked

from .checker import Violation
from .client import Client, sign_up
from .cluster import cluster
from .records import Records, RoomRef

CHARACTERS, LETTER = 4000, "\N{CAT FACE}"
"""The longest message, at four bytes a character: more bytes in fewer frames."""
LENGTH = CHARACTERS * len(LETTER.encode())
"""Bytes of each message; its timestamp makes it a few shorter."""
PROBES = 5
"""Sockets that send and measure; all other readers discard bytes."""
MEASURE_DURATION = 12.0
TRY_DURATION = 3.0
SETTLES_DURATION = 4.0
GONE_TIMEOUT = 15.0
MAX_MEMORY = 2 * 1024 * 1024
"""Bytes of server memory for each stuck socket."""
FOREVER = float("inf")
POLL_INTERVAL = 0.5
HEADROOM = 0.7
STEP = 1.5
KEEPS_UP = 0.3
LEAST_RATE = 500_000.0
MAX_DELAY = 2.0
"""Allowed factor over the others' p99 without stuck sockets."""
NOISE = 0.010
"""Insignificant seconds of p99: two processes share two cores with everything else."""


@dataclass(frozen=True, slots=True)
class SlowReaderLoad:
    """`rate`: bytes a second to each socket."""

    sockets: int = 500
    stuck: int = 50
    rate: float = 2_000_000.0
    kind: str = "uvicorn"
    seconds: float = MEASURE_DURATION
    settles: float = SETTLES_DURATION
    """Seconds before each measurement, in which sockets connect and queues drain."""
    tries: float = TRY_DURATION
    """Seconds for which each rate is tried."""
    rounds: int = 3
    """Measurements without and with stuck sockets, in turn: a shared machine changes its speed."""


@dataclass(slots=True)
class SlowReaderResult:
    load: SlowReaderLoad
    carried: float = FOREVER
    quiet_p99s: list[float] = field(default_factory=list)
    stuck_p99s: list[float] = field(default_factory=list)
    memory: float = 0.0
    gone: float = 0.0
    cut: int = 0

    @property
    def quiet(self) -> float:
        return median(self.quiet_p99s)

    @property
    def stuck(self) -> float:
        return median(self.stuck_p99s)

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
        load = self.load
        return (
            f"{load.kind}: {load.stuck} of {load.sockets} sockets never read at"
            f" {self.carried / 1e6:.2f} MB/s to each: {self.memory / 2**20:.2f} MiB for each,"
            f" gone after {self.gone:.1f} s, p99 of the others {_spread(self.quiet_p99s)} without"
            f" and {_spread(self.stuck_p99s)} with: {len(self.violations)} violations"
        )


def _spread(seconds: Sequence[float]) -> str:
    each = ", ".join(f"{1000 * one:.1f}" for one in seconds)
    return f"{1000 * median(seconds):.1f} ms (median of {each})"


async def slow(load: SlowReaderLoad, folder: Path) -> SlowReaderResult:
    async with cluster(
        folder, kind=load.kind, processes=1, application="config.asgi:application"
    ) as servers:
        server = servers.servers[0]
        address = f"127.0.0.1:{server.port}"
        client = await sign_up("person", lambda: address, Records())
        answer = await client.insist("POST", "/rooms", {"name": "loud"})
        answer.raise_for_status()
        room = RoomRef(answer.json()["id"], "loud", "public")
        try:
            async with asyncio.timeout(600):
                return await _measure(load, client, room, psutil.Process(server.process.pid))
        finally:
            gc.unfreeze()
            await client.close()


async def _measure(
    load: SlowReaderLoad, client: Client, room: RoomRef, server: psutil.Process
) -> SlowReaderResult:
    result = SlowReaderResult(load)
    url = f"ws://{client.address()}{room.path}?token={client.account.access}"
    probes = [await Probe.open(url) for _ in range(PROBES)]
    drains = [await Drain.open(url) for _ in range(load.sockets - load.stuck - PROBES)]
    gc.freeze()  # a collection here would count as a server delay
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(probe.send_loop()) for probe in probes]
        rate = await _rate(probes, load)
        for _ in range(load.rounds):
            rate = await _quiet(probes, rate, server, result)
            await _with_stuck(probes, url, server, result)
        for task in tasks:
            task.cancel()
    result.cut = sum(drain.lost for drain in drains)
    for drain in drains:
        drain.close()
    for probe in probes:
        probe.end()
    return result


async def _rate(probes: "Sequence[Probe]", load: SlowReaderLoad) -> float:
    """Returns the bytes a second to each: `load.rate`, or what the server keeps up with.

    An overloaded server would show its own queue only, with and without stuck sockets.
    """
    rate = most = load.rate
    while rate > LEAST_RATE:
        rate /= 2
    _pace(probes, rate)
    await asyncio.sleep(load.settles)  # hundreds of sockets are still connecting
    while rate < most and await _keeps_up(probes, min(STEP * rate, most), load.tries):
        rate = min(STEP * rate, most)
    return rate if rate == most else rate * HEADROOM


async def _quiet(
    probes: "Sequence[Probe]", rate: float, server: psutil.Process, result: SlowReaderResult
) -> float:
    """Measures p99 with readers only; returns the rate that the server kept up with."""
    load = result.load
    # Same work of this process in both phases, so that only the server differs.
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch(server, [], 0))
        while True:
            _pace(probes, rate)
            await asyncio.sleep(load.settles)
            quiet, _ = await _p99(probes, load.seconds)
            if quiet < KEEPS_UP or rate < LEAST_RATE:
                break
            rate *= HEADROOM
        watch.cancel()
    result.quiet_p99s.append(quiet)
    return rate


async def _with_stuck(
    probes: "Sequence[Probe]", url: str, server: psutil.Process, result: SlowReaderResult
) -> None:
    """Measures p99 and memory while sockets connect, do not read and are disconnected."""
    load = result.load
    memory = server.memory_info().rss
    stuck = [Stuck(url, sends=number % 2 == 0) for number in range(load.stuck)]
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_watch(server, stuck, memory))
        p99, carried = await _p99(probes, load.seconds)
    peak, gone = watch.result()
    result.stuck_p99s.append(p99)
    result.carried = min(result.carried, carried)
    result.gone = max(result.gone, gone)
    result.memory = max(result.memory, (peak - memory) / load.stuck)
    for one in stuck:
        one.close()


def _pace(probes: "Sequence[Probe]", rate: float) -> None:
    for probe in probes:
        probe.pause = PROBES * LENGTH / rate


async def _keeps_up(probes: "Sequence[Probe]", rate: float, seconds: float) -> bool:
    _pace(probes, rate)
    p99, carried = await _p99(probes, seconds)
    return p99 < KEEPS_UP and carried > 0.9 * rate


async def _p99(probes: "Sequence[Probe]", seconds: float) -> tuple[float, float]:
    """Returns the 99th percentile of the probes, and bytes a second to each."""
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
    """Returns peak memory, and seconds until the last stuck socket was closed."""
    begun, peak = time.monotonic(), before
    ports, seen = {one.port for one in stuck}, set[int]()
    while (passed := time.monotonic() - begun) < (2 * GONE_TIMEOUT if ports else FOREVER):
        for one in stuck:
            one.send_loop()
        peak = max(peak, server.memory_info().rss)
        there = ports & set(await asyncio.to_thread(_open_ports, server))
        seen |= there
        if ports and seen == ports and not there:
            break
        await asyncio.sleep(POLL_INTERVAL)
    return peak, passed


def _open_ports(server: psutil.Process) -> Iterator[int]:
    """Yields the client's port of each connection of the process."""
    for connection in server.net_connections(kind="tcp4"):
        if connection.raddr:
            yield connection.raddr.port


class Probe(RawSocket):
    """Sends at a steady `pause` and measures how long messages take to come back."""

    def __init__(self) -> None:
        super().__init__()
        self.pause = 1.0
        self.delays: list[float] = []

    @classmethod
    async def open(cls, url: str) -> "Probe":
        _, probe = await asyncio.get_running_loop().create_connection(cls, *host_and_port(url))
        probe.transport.write(handshake(url))
        return probe

    async def send_loop(self) -> None:
        """Sends without waiting for answers: a slow server gets no relief."""
        # Random phase, or the probes would measure each other.
        due = time.monotonic() + uniform(0, self.pause)
        while not self.ended.done():
            text = f"{time.monotonic():.6f} ".ljust(CHARACTERS, LETTER)
            self.send(json.dumps({"message": text}, ensure_ascii=False).encode())
            due = max(due + self.pause * uniform(0.5, 1.5), time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        self.ended.result()

    @override
    def text_received(self, text: bytes) -> None:
        at = text.find(b'"message":"')
        if at >= 0:
            self.delays.append(time.monotonic() - float(text[at + 11 : at + 60].split(b" ")[0]))


class Stuck:
    """Connects and never reads a byte; it may still send."""

    def __init__(self, url: str, *, sends: bool) -> None:
        self._socket = socket.create_connection(host_and_port(url), timeout=10)
        self._socket.sendall(handshake(url))
        self._socket.setblocking(False)
        self._speaks = sends
        self.port: int = self._socket.getsockname()[1]

    def send_loop(self) -> None:
        if self._speaks:
            with suppress(OSError):
                self._socket.send(masked(b'{"type":"ping","ref":"' + b"x" * 64 + b'"}'))
                self._socket.send(masked(b'{"type":"typing"}'))

    def close(self) -> None:
        self._socket.close()
