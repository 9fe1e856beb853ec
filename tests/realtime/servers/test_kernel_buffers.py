"""The kernel cuts a peer that reads nothing."""

import asyncio
import socket
from typing import Any

import pytest
from pytest_django import Settings
from typing_extensions import override

from realtime.servers.detect import connection_of

UNREAD = 4 * 1024 * 1024


class Closing(asyncio.Protocol):
    """Sends much and closes after the peer has read all, as servers do."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def send(self, event: Any) -> None: ...
    async def receive(self) -> Any: ...

    @override
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        connection_of(self.receive, self.send)
        transport.write(bytes(UNREAD))
        transport.close()

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has it")
async def test_peer_that_reads_nothing_is_cut_while_its_close_waits(
    settings: Settings,
) -> None:
    settings.CHAT_UNREAD_TIMEOUT = 0.5
    closing = Closing()
    server = await asyncio.get_running_loop().create_server(lambda: closing, "127.0.0.1", 0)
    async with server:
        with socket.create_connection(server.sockets[0].getsockname()):
            async with asyncio.timeout(30):
                assert isinstance(await closing.lost, TimeoutError)
