"""What a client holds before its request reaches the application has an end, on every server."""

import asyncio
import time
from collections.abc import Iterator
from typing import Self

import psutil
import pytest

from tests.clients import fresh, register
from tests.metrics import scrape
from tests.servers import COMMANDS, Server, serving

TIMEOUT = 0.5
PATIENCE = 10.0
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
MAX_MEMORY = 8 * 1024 * 1024


@pytest.fixture(scope="module", params=["daphne", "uvicorn", "h11"])
def hasty(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that waits half a second for a request head."""
    folder = tmp_path_factory.mktemp(f"hasty-{request.param}")
    with pytest.MonkeyPatch.context() as patch:
        stock = COMMANDS["uvicorn"]
        patch.setitem(COMMANDS, "h11", [*stock[:2], "--http", "h11", *stock[2:]])
        with serving(request.param, folder, CHAT_HEADER_TIMEOUT=str(TIMEOUT)) as server:
            yield server


class Client:
    """A TCP connection on which bytes are sent by hand."""

    def __init__(self, server: Server) -> None:
        self._port = server.port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:  # it hung up on bytes that it had not read
                return b""

    async def drip(self, data: bytes, pause: float) -> None:
        for byte in data:
            if self.writer.is_closing():
                return
            self.writer.write(bytes([byte]))
            await asyncio.sleep(pause)


async def refusals(server: Server, setting: str) -> float:
    seen = await scrape(server)
    return seen.get(f'chat_limit_refusals_total{{setting="{setting}"}}', 0.0)


async def test_a_silent_connection_is_closed_after_the_timeout(hasty: Server) -> None:
    before = await refusals(hasty, "CHAT_HEADER_TIMEOUT")
    async with Client(hasty) as client:
        started = time.monotonic()
        assert await client.rest() == b""
        assert time.monotonic() - started >= TIMEOUT * 0.9
    assert await refusals(hasty, "CHAT_HEADER_TIMEOUT") == before + 1


async def test_a_half_sent_head_is_closed_after_the_timeout_however_it_drips(hasty: Server) -> None:
    async with Client(hasty) as client:
        dripping = asyncio.ensure_future(client.drip(REQUEST * 100, TIMEOUT / 10))
        assert await client.rest() == b""
        assert not dripping.done()
        dripping.cancel()


async def test_a_head_that_follows_an_answered_request_has_the_timeout_too(hasty: Server) -> None:
    async with Client(hasty) as client:
        client.writer.write(REQUEST + b"\r\n" + REQUEST)
        dripping = asyncio.ensure_future(client.drip(b"X-Slow: " + b"a" * 1000, TIMEOUT / 10))
        answer = await client.rest()
        assert answer.count(b"HTTP/1.1 200") == 1
        assert not dripping.done()
        dripping.cancel()


async def test_a_body_may_take_longer_than_a_head(hasty: Server) -> None:
    body = b'{"username": "nobody", "password": "password123"}'
    head = b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    async with Client(hasty) as client:
        client.writer.write(head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        await client.drip(body, 2 * TIMEOUT / len(body))
        assert (await client.rest()).startswith(b"HTTP/1.1 401")


async def test_an_open_socket_may_be_silent(hasty: Server) -> None:
    ila = await register(hasty.http, hasty.ws)
    async with ila.public(fresh("silent")) as socket:
        await socket.hear("ready")
        await asyncio.sleep(2 * TIMEOUT)
        assert (await socket.ping())[-1]["type"] == "pong"
    await ila.http.aclose()


async def test_two_requests_that_come_together_are_both_answered(hasty: Server) -> None:
    async with Client(hasty) as client:
        client.writer.write(REQUEST + b"\r\n" + REQUEST + b"Connection: close\r\n\r\n")
        assert (await client.rest()).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("headers", "setting"),
    [
        (b"A: %s\r\n" % (b"a" * 9000) * 4, "CHAT_HEADER_SIZE"),
        (b"A: a\r\n" * 101, "CHAT_HEADER_COUNT"),
    ],
    ids=["size", "number"],
)
async def test_a_head_beyond_a_bound_is_refused(
    hasty: Server, headers: bytes, setting: str
) -> None:
    before = await refusals(hasty, setting)
    async with Client(hasty) as client:
        client.writer.write(REQUEST + headers + b"\r\n")
        answer = await client.rest()
    assert answer.split(b" ")[1:2] in ([], [b"431"], [b"400"])
    assert await refusals(hasty, setting) == before + 1


async def test_a_head_within_the_bounds_is_served(hasty: Server) -> None:
    async with Client(hasty) as client:
        headers = b"A: %s\r\n" % (b"a" * 7000) * 4 + b"B: b\r\n" * 90
        client.writer.write(REQUEST + headers + b"Connection: close\r\n\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200")


async def test_a_megabyte_of_headers_takes_no_memory(hasty: Server) -> None:
    process = psutil.Process(hasty.process.pid)
    before = process.memory_info().rss
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(_send_a_megabyte(hasty) for _ in range(50)))
    assert process.memory_info().rss - before < MAX_MEMORY


async def _send_a_megabyte(server: Server) -> None:
    async with Client(server) as client:
        client.writer.write(REQUEST + b"A: " + b"a" * 1024 * 1024)
        assert b" 200 " not in await client.rest()


async def test_a_connection_that_is_idle_after_a_request_is_closed(hasty: Server) -> None:
    if hasty.kind != "daphne":
        pytest.skip("uvicorn does it by itself, after 5 s")
    async with Client(hasty) as client:
        client.writer.write(REQUEST + b"\r\n")
        assert (await client.rest()).startswith(b"HTTP/1.1 200")
