"""Proxies TCP to a server: cuts connections at any byte, freezes, slows down."""

import asyncio
import socket
import struct
from contextlib import suppress

CHUNK = 16_384


class Cut(Exception):
    """The connection reached the byte at which it must end."""


class Link:
    """One client connection through the proxy, in both directions."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self._near = near
        self._far = far
        self._flows = asyncio.Event()
        self._flows.set()
        self._left: int | None = None
        self.delay = 0.0

    def cut_after(self, count: int) -> None:
        """Cuts the connection after `count` more bytes, without a close."""
        self._left = count

    def freeze(self) -> None:
        """Stops reading from both sides: the kernel's buffers fill up."""
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def abort(self) -> None:
        """Resets the connection on both ends."""
        for writer in (self._near, self._far):
            _reset_on_close(writer)
            writer.transport.abort()

    def close(self) -> None:
        """Closes both ends after the buffered bytes."""
        for writer in (self._near, self._far):
            writer.close()

    async def carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Copies bytes until one side ends. Raises Cut, OSError."""
        while data := await source.read(CHUNK):
            await self._flows.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._hand_on(data, target)

    async def _hand_on(self, data: bytes, target: asyncio.StreamWriter) -> None:
        if self._left is not None and len(data) >= self._left:
            target.write(data[: self._left])
            raise Cut
        if self._left is not None:
            self._left -= len(data)
        target.write(data)
        await target.drain()


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    end: socket.socket | None = writer.get_extra_info("socket")
    if end is not None and end.fileno() >= 0:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Proxy:
    """Listens on its own port, also while its server is killed and restarted."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._black = False

    async def start(self) -> None:
        """Listens; after a `refuse` on the same port as before."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, backlog=2048, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuses new connections, as for a dead process; existing ones stay."""
        if self._server is not None:
            self._server.close()

    def swallow(self) -> None:
        """Becomes a black hole: accepts connections and forwards nothing."""
        self._black = True
        for link in self.links:
            link.freeze()

    def hand_on(self) -> None:
        self._black = False
        for link in self.links:
            link.thaw()

    async def close(self) -> None:
        self.refuse()
        for link in list(self.links):
            link.abort()
        while self.links:
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, far_writer)
        self.links.add(link)
        if self._black:
            link.freeze()
        try:
            await self._join(link, (reader, far_writer), (far_reader, writer))
        finally:
            self.links.discard(link)

    async def _join(
        self, link: Link, *directions: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        """Copies both directions until one ends; then both end."""
        tasks = [asyncio.ensure_future(link.carry(*direction)) for direction in directions]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        errors = [task.exception() for task in done]
        link.abort() if any(errors) else link.close()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
