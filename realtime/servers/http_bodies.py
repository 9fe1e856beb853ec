"""Bounds unfinished request bodies: their size, time, number and bytes.

A request counts only after its body has arrived. So clients that announce bodies and never send
them occupy neither threads nor places of other requests. When there are too many, the oldest body
is refused: an honest body arrives within moments, an old one is an attack.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from django.conf import settings

MIN_BODY_RATE = 16 * 1024
"""Bytes a second: a body has CHAT_BODY_TIMEOUT, and one second more for each 16 KiB received."""

MAX_DISCARDED = 8 * 1024**2
"""Bytes of a refused body that are still read. A client that sends much more without reading the
response gets a connection reset instead of the refusal."""
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


class Body:
    """An unfinished body. `refuse` is called at most once, and never after `end`."""

    __slots__ = ("network", "refuse", "size")

    def __init__(self, network: str | None, refuse: Callable[[BodyRefused], None]) -> None:
        self.network = network
        self.refuse = refuse
        self.size = 0


class UnfinishedBodies:
    """Counts unfinished bodies per address, and their bytes.

    Oldest bodies come first.
    """

    def __init__(self) -> None:
        self._bodies: dict[Body, None] = {}
        self._by_network: dict[str, dict[Body, None]] = {}
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._bodies)

    def begin(self, network: str | None, refuse: Callable[[BodyRefused], None]) -> Body:
        """Counts a new body. Above the limit of its address, refuses the oldest there."""
        body = Body(network, refuse)
        self._bodies[body] = None
        if network is not None:
            same_network = self._by_network.setdefault(network, {})
            same_network[body] = None
            limit: int | None = settings.CHAT_BODIES_PER_ADDRESS
            if limit is not None and len(same_network) > limit:
                self._refuse(next(iter(same_network)), TOO_MANY)
        return body

    def grow(self, body: Body, size: int) -> None:
        """Counts received bytes. Refuses the oldest bodies until the rest fits."""
        if body not in self._bodies:
            return
        body.size += size
        self.bytes += size
        limit: int | None = settings.CHAT_BODY_BYTES
        while limit is not None and self.bytes > limit and self._bodies:
            self._refuse(next(iter(self._bodies)), TOO_MANY_BYTES)

    def end(self, body: Body) -> None:
        """Stops counting a body. Later calls do nothing."""
        if body not in self._bodies:
            return
        del self._bodies[body]
        self.bytes -= body.size
        if body.network is not None:
            same_network = self._by_network[body.network]
            del same_network[body]
            if not same_network:
                del self._by_network[body.network]

    def _refuse(self, body: Body, refusal: BodyRefused) -> None:
        self.end(body)
        body.refuse(refusal)


class BodyReader:
    """Reads one request body through ASGI."""

    def __init__(
        self, receive: Receive, limit: int, network: str | None, bodies: UnfinishedBodies
    ) -> None:
        self._receive = receive
        self._bodies = bodies
        self._limit = limit
        self._network = network
        self._refusal: BodyRefused = TOO_SLOW

    async def read(self) -> bytes | None:
        """Returns the whole body, or None if the client disconnected. Raises BodyRefused."""
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
        """Ends `read` with this refusal: newer bodies need the place."""
        self._refusal = refusal
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time())


async def discard_rest(
    receive: Receive, *, handed_on_early: bool, max_size: float = MAX_DISCARDED
) -> None:
    """Reads on briefly: closing at once would reset the connection."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_TIMEOUT):
            while size <= max_size:
                event = await receive()
                if event["type"] != "http.request":
                    return
                size += len(event.get("body", b""))
                if not handed_on_early and not event.get("more_body", False):
                    return
