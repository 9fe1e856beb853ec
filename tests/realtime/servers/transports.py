"""Transports for tests of servers, which keep what is written."""

import asyncio
from typing import Any

from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from typing_extensions import override

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
COMPRESSED = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Transport:
    """A transport of asyncio."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False
        self.protocol: Any = None
        self.buffered = 0
        self.peer = "127.0.0.1"
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_protocol(self) -> Any:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_extra_info(self, name: str) -> Any:
        return (self.peer, 50_000) if name == "peername" else None

    def is_closing(self) -> bool:
        return self.closed or self.aborted.is_set()

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted.set()


class Line(StringTransport):
    """Twisted's test transport, with the methods of a TCP transport that we use."""

    abort_called = False

    def connectionLost(self, reason: Failure) -> None: ...  # noqa: N802 - as below

    @override
    def abortConnection(self) -> None:
        self.abort_called = True

    def setTcpNoDelay(self, on: bool) -> None: ...  # noqa: N802


new_line: Any = Line
"""Untyped, as Twisted's test transports are."""
