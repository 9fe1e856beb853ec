"""Clients that flood and do not read cost little memory and are closed."""

import socket
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.clients import Socket, fresh, opened, register
from tests.raw_websocket import (
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Reader,
    handshake,
    host_and_port,
    masked,
)
from tests.servers import COMMANDS, Server, serving

KEEP_ALIVE = {
    "uvicorn": ("--ws-ping-interval", "--ws-ping-timeout"),
    "daphne": ("--ping-interval", "--ping-timeout"),
}
MAX_MEMORY = 8 * 1024 * 1024
"""Bytes by which a server may grow."""
GONE_TIMEOUT = 40.0
PINGS = 12_000
"""Pings whose pongs exceed every kernel and server buffer."""


@pytest.fixture(scope="module", params=KEEP_ALIVE)
def hasty(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with a keep-alive ping after one second and a timeout of three."""
    interval, timeout = KEEP_ALIVE[request.param]
    command = COMMANDS[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(COMMANDS, "hasty", [*command[:2], interval, "1", timeout, "3", *command[2:]])
        with serving("hasty", tmp_path_factory.mktemp(f"hasty-{request.param}")) as server:
            yield server


def not_reading(url: str) -> tuple[socket.socket, Reader]:
    """An unread WebSocket with a small receive buffer."""
    raw, reader, head = socket.socket(), Reader(), b""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(10)
    raw.connect(host_and_port(url))
    raw.sendall(handshake(url))
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    assert not [*reader.feed(head)]
    return raw, reader


def numbered(number: int) -> bytes:
    return b"%0125d" % number


async def test_ping_is_answered(hasty: Server) -> None:
    async with Socket(f"{hasty.ws}/ws/chat/x/") as anyone:
        for _ in range(3):
            await (await anyone.connection.ping())


def test_client_that_reads_again_receives_its_latest_pong(hasty: Server) -> None:
    raw, reader = not_reading(f"{hasty.ws}/ws/chat/x/")
    received: list[bytes] = []
    with raw:
        raw.sendall(b"".join(masked(numbered(number), PING) for number in range(PINGS)))
        time.sleep(0.5)  # until the server can send no more
        while numbered(PINGS - 1) not in received[-1:]:
            received += [pong for opcode, pong in reader.feed(raw.recv(65536)) if opcode == PONG]
    assert received == sorted(set(received))


def piece(opcode: int = CONTINUATION) -> bytes:
    """A fragment without content."""
    frame = masked(b"", opcode)
    return bytes([frame[0] & 0x7F]) + frame[1:]


@pytest.mark.parametrize(
    "flood",
    [masked(numbered(0), PING), masked(b"", PONG), piece()],
    ids=["pings", "pongs", "pieces"],
)
async def test_flooding_client_that_never_reads_costs_little_memory_and_is_closed(
    hasty: Server, flood: bytes
) -> None:
    person = await register(hasty.http, hasty.ws)
    room = person.public(fresh("room"))
    async with opened(room):
        pass  # so that the cost of a process's first socket is not counted
    process = psutil.Process(hasty.process.pid)
    before = most = process.memory_info().rss
    raw, _ = not_reading(room.url)

    def until_it_is_cut() -> None:
        nonlocal most
        raw.sendall(piece(TEXT))
        give_up_at = time.monotonic() + GONE_TIMEOUT
        while time.monotonic() < give_up_at:
            raw.sendall(flood * 1000)
            most = max(most, process.memory_info().rss)

    with raw, pytest.raises(ConnectionError):
        until_it_is_cut()
    assert most - before < MAX_MEMORY
    await person.http.aclose()


async def test_fragmented_message_is_assembled(hasty: Server) -> None:
    person = await register(hasty.http, hasty.ws)
    async with person.public(fresh("room")) as ila:
        await ila.receive_type("ready")
        await ila.connection.send([*'{"message":"', *[""] * 2000, *"in pieces", '"}'])
        assert (await ila.receive_type("message"))["message"] == "in pieces"
    await person.http.aclose()
