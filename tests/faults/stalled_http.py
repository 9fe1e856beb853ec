"""Measures HTTP clients that never read a response or never finish a request."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.raw_websocket import host_and_port

from .client import Client, sign_up
from .cluster import cluster
from .findings import Findings
from .records import Records
from .slow_readers import LETTER

MESSAGES, CHARACTERS = 200, 4000
MAX_MEMORY = 100 * 1024 * 1024
"""Bytes by which a server may grow once it has answered or refused all requests."""
MAX_PEAK = 200 * 1024 * 1024
"""Bytes by which it may grow meanwhile: each response takes several times its size."""
UNFINISHED_RATE = 140.0
PROBES = 100


@dataclass(frozen=True, slots=True)
class Load:
    """`seconds`: duration of the measurement."""

    kind: str = "uvicorn"
    connections: int = 100
    seconds: float = 20.0


async def unread(load: Load, folder: Path) -> Findings:
    """One user requests the largest page on many connections and reads nothing."""
    findings = Findings(f"unread, {load.kind}")

    async def drill(client: Client, server: psutil.Process) -> None:
        path = await _fill_room(client)
        for _ in range(2):  # so that first-use memory is not counted
            await client.insist("GET", path)
        idle = server.memory_info().rss
        unread = [_ask(client, "GET", path) for _ in range(load.connections)]
        peak, last = idle, idle
        end = time.monotonic() + load.seconds
        while time.monotonic() < end:
            last = server.memory_info().rss
            peak = max(peak, last)
            await asyncio.sleep(0.05)
        for one in unread:
            one.close()
        findings.expect(
            last - idle <= MAX_MEMORY and peak - idle <= MAX_PEAK,
            "memory",
            f"{load.connections} unread answers: {(peak - idle) / 2**20:.0f} MiB more at most,"
            f" {(last - idle) / 2**20:.0f} MiB at the end",
        )

    await _alone(load, folder, drill)
    return findings


async def unfinished(load: Load, folder: Path) -> Findings:
    """Many POSTs never send their body, while a user and a probe send requests."""
    findings = Findings(f"unfinished, {load.kind}")

    async def drill(client: Client, server: psutil.Process) -> None:
        begun: list[socket.socket] = []
        flood = asyncio.create_task(_flood(client, begun))
        await asyncio.sleep(load.seconds / 2)
        failed = {"/api/users/me": 0, "/readyz": 0}
        async with httpx.AsyncClient(
            base_url=f"http://{client.address()}",
            headers={"Authorization": f"Bearer {client.account.access}"},
            timeout=10,
            verify=False,
        ) as http:
            for _ in range(PROBES):
                for path in failed:
                    failed[path] += (await http.get(path)).status_code != 200
                await asyncio.sleep(load.seconds / PROBES)
        flood.cancel()
        for one in begun:
            one.close()
        for path, number in failed.items():
            findings.expect(
                not number,
                "refused",
                f"{number} of {PROBES} GET {path} failed during {len(begun)} unfinished POSTs",
            )

    await _alone(load, folder, drill)
    return findings


async def _alone(
    load: Load,
    folder: Path,
    drill: Callable[[Client, psutil.Process], Coroutine[None, None, None]],
) -> None:
    async with cluster(
        folder, kind=load.kind, processes=1, application="config.asgi:application"
    ) as servers:
        server = servers.servers[0]
        client = await sign_up("person", lambda: f"127.0.0.1:{server.port}", Records())
        try:
            await drill(client, psutil.Process(server.process.pid))
        finally:
            await client.close()


async def _fill_room(client: Client) -> str:
    """Fills a room with the longest messages; returns the path of the largest page."""
    room = (await client.insist("POST", "/rooms", {"name": "loud"})).json()
    path = f"/rooms/{room['id']}/messages"
    for _ in range(MESSAGES // 20):
        await asyncio.gather(
            *(client.insist("POST", path, {"content": LETTER * CHARACTERS}) for _ in range(20))
        )
    return f"{path}?limit={MESSAGES}"


def _ask(client: Client, method: str, path: str, *headers: str) -> socket.socket:
    """Sends a request whose response is never read."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(host_and_port(f"http://{client.address()}"))
    lines = [
        f"{method} /api{path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {client.account.access}",
        *headers,
    ]
    raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return raw


async def _flood(client: Client, begun: list[socket.socket]) -> None:
    """Begins POSTs at a steady rate, even when refusals are slow."""
    start = time.monotonic()
    while True:
        while len(begun) < (time.monotonic() - start) * UNFINISHED_RATE:
            with suppress(OSError):
                begun.append(_ask(client, "POST", "/rooms", "Content-Length: 1000"))
        await asyncio.sleep(0.01)
