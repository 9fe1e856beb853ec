"""WebSocket by hand, for crowds: the client must not be what is measured."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

from typing_extensions import override

CONTINUATION, TEXT, PING, PONG = 0, 1, 9, 10


def place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def handshake(url: str) -> bytes:
    parts = urlsplit(url)
    lines = [
        f"GET {parts.path}?{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A client's frame; masked with zeros, which changes nothing."""
    if len(payload) < 126:
        head = bytes([0x80 | opcode, 0x80 | len(payload)])
    else:
        head = bytes([0x80 | opcode, 0x80 | 126]) + len(payload).to_bytes(2)
    return head + bytes(4) + payload


class Reader:
    """Takes a server's bytes apart: the answer to the handshake first, then frames."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._open = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of each frame that is complete. Raises ConnectionError."""
        self._waiting += data
        if not self._open and not self._opened():
            return
        while (frame := self._next()) is not None:
            yield frame

    def _opened(self) -> bool:
        end = self._waiting.find(b"\r\n\r\n")
        if end < 0:
            return False
        if not self._waiting.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(bytes(self._waiting[:200]))
        del self._waiting[: end + 4]
        self._open = True
        return True

    def _next(self) -> tuple[int, bytes] | None:
        header = _header(self._waiting, 0)
        if header is None:
            return None
        opcode, start, length = header
        if len(self._waiting) < start + length:
            return None
        payload = bytes(self._waiting[start : start + length])
        del self._waiting[: start + length]
        return opcode, payload


class RawSocket(asyncio.Protocol):
    """`hear` is called with each text; answers pings."""

    def __init__(self) -> None:
        self._reader = Reader()
        self.transport: asyncio.Transport
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        try:
            for opcode, payload in self._reader.feed(data):
                if opcode == TEXT:
                    self.hear(payload)
                elif opcode == PING:
                    self.transport.write(masked(payload, PONG))
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self.end(error)

    def hear(self, text: bytes) -> None:
        raise NotImplementedError

    def say(self, text: bytes) -> None:
        self.transport.write(masked(text))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.end(exc or ConnectionError("closed by the server"))

    def end(self, error: Exception | None = None) -> None:
        """Wakes whoever waits for `ended`, the first time."""
        if not self.ended.done():
            self.ended.set_exception(error) if error else self.ended.set_result(None)
        self.transport.abort()


class Drain(asyncio.BufferedProtocol):
    """A reader that only swallows, and answers pings lest the server takes it for dead."""

    _buffer = bytearray(1 << 18)
    """Of all: each reads it at once."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.lost = False
        self._open = False
        self._left = 0
        self._stash = b""

    @classmethod
    async def open(cls, url: str) -> "Drain":
        loop = asyncio.get_running_loop()
        transport, drain = await loop.create_connection(cls, *place(url))
        drain.transport = transport
        transport.write(handshake(url))
        return drain

    def close(self) -> None:
        self.transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    @override
    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        if self._left >= nbytes:
            self._left -= nbytes
            return
        data = self._stash + self._buffer[self._left : nbytes]
        self._left = 0
        at = 0 if self._open else self._opened(data)
        self._stash = bytes(data[self._walk(data, at) :]) if self._open else bytes(data)

    def _opened(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        self._open = end >= 0
        return end + 4

    def _walk(self, data: bytes, at: int) -> int:
        """From header to header: where the first incomplete one begins."""
        while (frame := _header(data, at)) is not None:
            opcode, start, length = frame
            if opcode == PING:
                if len(data) < start + length:
                    break
                self.transport.write(masked(bytes(data[start : start + length]), PONG))
            at = start + length
            if at >= len(data):
                self._left = at - len(data)
                return len(data)
        return at


def _header(data: bytes | bytearray, at: int) -> tuple[int, int, int] | None:
    """Opcode, start and length of the payload; None while the header is incomplete."""
    if len(data) < at + 2:
        return None
    length, start = data[at + 1] & 0x7F, at + 2
    if length >= 126:
        start += 2 if length == 126 else 8
        if len(data) < start:
            return None
        length = int.from_bytes(data[at + 2 : start])
    return data[at] & 0x0F, start, length
