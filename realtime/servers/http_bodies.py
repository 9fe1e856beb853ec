"""Bounds request bodies that have not arrived: their size, time, number and bytes.

A body waits here before its request counts as a request, so that clients that announce bodies and
never send them hold neither a thread nor a place of those that do. When there are too many, the
oldest is refused: a body that somebody sends arrives within moments, an old one is an attack.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from django.conf import settings

MIN_BODY_RATE = 16 * 1024
"""Bytes a second. A body on a slow line has CHAT_BODY_TIMEOUT and one second more for each."""

MAX_DISCARDED = 8 * 1024**2
"""Bytes of a refused body that are still read. A client that sends much more than it was allowed,
and does not look for an answer meanwhile, finds its connection reset."""
DISCARD_TIMEOUT = 1.0

Receive = Callable[[], Awaitable[Any]]


class BodyRefused(Exception):
    """`status` is 408, 413 or 503; `setting` names the limit."""

    def __init__(self, status: int, setting: str) -> None:
        super().__init__(status, setting)
        self.status = status
        self.setting = setting


TOO_LARGE = BodyRefused(413, "CHAT_BODY_SIZE")
TOO_SLOW = BodyRefused(408, "CHAT_BODY_TIMEOUT")
TOO_MANY = BodyRefused(503, "CHAT_BODIES_PER_ADDRESS")
TOO_MANY_BYTES = BodyRefused(503, "CHAT_BODY_BYTES")


def max_body_size(path: str) -> int:  # noqa: ARG001 - a path that takes uploads gets its own
    """Returns how many bytes a body to this path may have."""
    size: int = settings.CHAT_BODY_SIZE
    return size


class Body:
    """A body on its way. `refuse` is called at most once, and never after `end`."""

    __slots__ = ("network", "refuse", "size")

    def __init__(self, network: str | None, refuse: Callable[[BodyRefused], None]) -> None:
        self.network = network
        self.refuse = refuse
        self.size = 0


class UnfinishedBodies:
    """Counts bodies on their way, per address and in bytes. The dictionaries keep their order."""

    def __init__(self) -> None:
        self._bodies: dict[Body, None] = {}
        self._by_network: dict[str, dict[Body, None]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._bodies)

    def begin(self, network: str | None, refuse: Callable[[BodyRefused], None]) -> Body:
        """Counts one in; the oldest of the same address goes when it is one too many."""
        body = Body(network, refuse)
        self._bodies[body] = None
        if network is not None:
            theirs = self._by_network.setdefault(network, {})
            theirs[body] = None
            limit: int | None = settings.CHAT_BODIES_PER_ADDRESS
            if limit is not None and len(theirs) > limit:
                self._refuse(next(iter(theirs)), TOO_MANY)
        return body

    def grow(self, body: Body, size: int) -> None:
        """Counts bytes that came; the oldest bodies go until the rest fits."""
        if body not in self._bodies:
            return
        body.size += size
        self.bytes += size
        limit: int | None = settings.CHAT_BODY_BYTES
        while limit is not None and self.bytes > limit and self._bodies:
            self._refuse(next(iter(self._bodies)), TOO_MANY_BYTES)

    def end(self, body: Body) -> None:
        """Counts one out. Nothing happens the second time."""
        if body not in self._bodies:
            return
        del self._bodies[body]
        self.bytes -= body.size
        if body.network is not None:
            theirs = self._by_network[body.network]
            del theirs[body]
            if not theirs:
                del self._by_network[body.network]

    def _refuse(self, body: Body, refusal: BodyRefused) -> None:
        self.end(body)
        body.refuse(refusal)


class BodyReader:
    """Reads one body by ASGI."""

    def __init__(
        self, receive: Receive, limit: int, network: str | None, bodies: UnfinishedBodies
    ) -> None:
        self._receive = receive
        self._bodies = bodies
        self._limit = limit
        self._network = network
        self._refusal: BodyRefused = TOO_SLOW

    async def read(self) -> bytes | None:
        """Returns the whole body, or None when the client has gone. Raises BodyRefused."""
        try:
            async with asyncio.timeout(settings.CHAT_BODY_TIMEOUT) as timeout:
                self._timeout = timeout
                body = self._bodies.begin(self._network, self._refuse)
                try:
                    return await self._pieces(body)
                finally:
                    self._bodies.end(body)
        except TimeoutError:
            raise self._refusal from None

    async def _pieces(self, body: Body) -> bytes | None:
        begun = asyncio.get_running_loop().time()
        pieces: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] != "http.request":
                return None
            piece: bytes = event.get("body", b"")
            size += len(piece)
            if size > self._limit:
                raise TOO_LARGE
            pieces.append(piece)
            if not event.get("more_body", False):
                return piece if len(pieces) == 1 else b"".join(pieces)
            self._bodies.grow(body, len(piece))
            if not self._timeout.expired() and self._refusal is TOO_SLOW:
                allowed = settings.CHAT_BODY_TIMEOUT + size / MIN_BODY_RATE
                self._timeout.reschedule(begun + allowed)

    def _refuse(self, refusal: BodyRefused) -> None:
        """Ends the wait from outside: another body needs the place."""
        self._refusal = refusal
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())


async def discard_rest(receive: Receive, *, handed_on_early: bool) -> None:
    """Reads on for a moment while a refusal is sent: closing at once would lose it on its way."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_TIMEOUT):
            while size <= MAX_DISCARDED:
                event = await receive()
                if event["type"] != "http.request":
                    return
                size += len(event.get("body", b""))
                if not handed_on_early and not event.get("more_body", False):
                    return
