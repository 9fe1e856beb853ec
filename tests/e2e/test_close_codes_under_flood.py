"""A client that sends without end and reads late still receives its close code."""

import asyncio
import json
import socket
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients import Person, fresh, register
from tests.raw_websocket import Reader, handshake, host_and_port, masked
from tests.servers import Server

TRIALS = 12
CLOSE = 8
READS_DELAY = 1.5
"""Seconds: longer than autobahn's own second of waiting for the answer to a close."""
FLOOD = masked(b'{"type":"ping"}') * 3000


class LateReader:
    """A raw socket that floods the server and reads nothing meanwhile."""

    def __init__(self, person: Person) -> None:
        self.url = f"{person.ws}/ws/chat/{fresh('flood')}/?token={person.access}"
        self.raw = socket.socket()
        self.raw.setblocking(False)
        self.reader = Reader()

    async def close_code(self, frames: bytes) -> int:
        loop = asyncio.get_running_loop()
        with self.raw:
            await loop.sock_connect(self.raw, host_and_port(self.url))
            await loop.sock_sendall(self.raw, handshake(self.url))
            while not any(b'"ready"' in payload for _, payload in await self._receive()):
                pass
            await loop.sock_sendall(self.raw, frames)
            flooding = asyncio.ensure_future(self._flood())
            await asyncio.sleep(READS_DELAY)
            code = await self._read_code()
            flooding.cancel()
            await asyncio.wait([flooding])
            return code

    async def _flood(self) -> None:
        with suppress(OSError):  # the server may cut the connection: only what can be read counts
            while True:
                await asyncio.get_running_loop().sock_sendall(self.raw, FLOOD)

    async def _receive(self) -> list[tuple[int, bytes]]:
        data = await asyncio.get_running_loop().sock_recv(self.raw, 65536)
        if not data:
            raise ConnectionError("ended without a close")
        return [*self.reader.feed(data)]

    async def _read_code(self) -> int:
        try:
            while True:
                for opcode, payload in await self._receive():
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2])
        except ConnectionError:
            return 1006


@pytest.fixture(params=["daphne", "uvicorn"])
def flooded(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.mark.parametrize("wrong", ["a foreign token", "five bad frames"])
async def test_flooding_client_that_reads_late_receives_its_close_code(
    flooded: Server, wrong: str
) -> None:
    ila = await register(flooded.http, flooded.ws)
    kaushal = await register(flooded.http, flooded.ws)
    if wrong == "a foreign token":
        frame = json.dumps({"type": "ping", "token": kaushal.access})
        frames, expected = masked(frame.encode()), 4401
    else:
        frames, expected = masked(b"{no frame") * 5, 4400
    async with asyncio.timeout(60):
        codes = await asyncio.gather(*(LateReader(ila).close_code(frames) for _ in range(TRIALS)))
    assert codes == [expected] * TRIALS
    for person in (ila, kaushal):
        await person.http.aclose()


async def test_flooding_client_that_reads_once_blocked_receives_its_close_code(
    flooded: Server,
) -> None:
    """A loop of `await send()` runs nothing else while the server reads fast.

    Large frames fill the kernel's buffers before the server's 10 s for the close are over.
    """
    ila = await register(flooded.http, flooded.ws)
    async with ila.public(fresh("flood")) as client:
        await client.receive_type("ready")
        for _ in range(5):
            await client.send_text("{no frame")

        async def send_on() -> None:
            with suppress(ConnectionClosed):
                while True:
                    await client.send_text("x" * 4096)

        flooding = asyncio.ensure_future(send_on())
        code, _ = await client.closed(60)
        await asyncio.wait([flooding], timeout=10)
    assert code == 4400
    await ila.http.aclose()
