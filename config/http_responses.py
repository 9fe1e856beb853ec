"""Limits the memory of unread responses, and closes their connections.

A JSON response is complete before its first byte is sent. It is taken from Django at once, so that
a slow client does not keep a thread and a database connection. Its unsent rest waits here and
counts against its user. Other responses, such as static files, are read from their source as fast
as the client reads.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from django.conf import settings
from prometheus_client import Counter

from accounts.kernel.log_context import log_context
from realtime.servers.http_responses import HttpConnection

from .http_refusals import Refusal, busy

SMALL = 64 * 1024
"""Bytes. Smaller responses are never refused: some report a write that has already happened."""
WINDOW = 128 * 1024
"""Bytes that a response other than JSON holds at most: a chunk and the server's buffer."""
SWEEP_INTERVAL = 1.0
EVICTED_AFTER = 30.0
"""Seconds after which a response may be cut for others, once all bytes are in use. A client that
reads a little now and then never reaches CHAT_UNREAD_TIMEOUT."""

unread_disconnects = Counter(
    "chat_http_unread_disconnects", "HTTP connections closed because the client did not read"
)


class ResponseBytes:
    """Counts the unread bytes of started responses, per caller and in total."""

    def __init__(self) -> None:
        self.total = 0
        self._by_caller: dict[str, int] = {}
        self._begun: dict[PacedResponse, float] = {}
        """When each counted response began, oldest first."""

    def exceeded_setting(self, caller: str, size: int) -> str | None:
        """Returns the limit that `size` more bytes exceed; a first response exceeds none."""
        own = self._by_caller.get(caller, 0)
        limit: int | None = settings.CHAT_RESPONSE_BYTES_PER_USER
        if limit is not None and own and own + size > limit:
            return "CHAT_RESPONSE_BYTES_PER_USER"
        limit = settings.CHAT_RESPONSE_BYTES
        if limit is not None and self.total and self.total + size > limit:
            return "CHAT_RESPONSE_BYTES"
        return None

    def note_begun(self, response: "PacedResponse") -> None:
        self._begun.setdefault(response, time.monotonic())

    def note_ended(self, response: "PacedResponse") -> None:
        self._begun.pop(response, None)

    def make_room(self, size: int) -> bool:
        """Cuts the oldest responses for `size` more bytes.

        Cuts none and returns False when those of over EVICTED_AFTER do not suffice.
        """
        missing = self.total + size - (settings.CHAT_RESPONSE_BYTES or 0)
        now, old = time.monotonic(), list[PacedResponse]()
        for response, begun_at in self._begun.items():
            if missing <= 0 or now - begun_at < EVICTED_AFTER:
                break
            old.append(response)
            missing -= response.counted
        if missing > 0:
            return False
        for response in old:
            response.cut()
        return True

    def add(self, caller: str, size: int) -> None:
        """Adds `size` bytes, or subtracts them when negative."""
        self.total += size
        left = self._by_caller.get(caller, 0) + size
        if left:
            self._by_caller[caller] = left
        else:
            self._by_caller.pop(caller, None)


response_bytes = ResponseBytes()


class UnreadConnections:
    """Closes connections whose clients read nothing for CHAT_UNREAD_TIMEOUT.

    For TCP the kernel does the same; Unix sockets, as of a proxy, have no such timeout.
    """

    def __init__(self) -> None:
        self._watched: dict[Any, UnreadConnection] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: HttpConnection) -> None:
        """Watches a connection until its client has read all that was sent."""
        if connection.transport is None or connection.transport in self._watched:
            return
        self._watched[connection.transport] = UnreadConnection(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for transport, unread in [*self._watched.items()]:
            if unread.is_over(now):
                del self._watched[transport]
        self._timer = loop.call_later(SWEEP_INTERVAL, self._sweep) if self._watched else None


class UnreadConnection:
    """A connection with unread bytes, and when their number last changed."""

    __slots__ = ("_connection", "_left", "_since")

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self._left: int | None = None

    def is_over(self, now: float) -> bool:
        """Returns whether all was read or the connection is closed.

        Closes it on a timeout.
        """
        connection = self._connection
        if connection.is_lost() or not connection.is_waiting():
            return True
        left = connection.unread()
        if self._left is None:
            connection.bound()
        if left != self._left:
            self._left, self._since = left, now
        elif now - self._since >= settings.CHAT_UNREAD_TIMEOUT:
            unread_disconnects.inc()
            connection.abort()
            return True
        return False


class PacedResponse:
    """Sends the application's response as fast as the client reads."""

    __slots__ = (
        "_caller",
        "_connection",
        "_drainer",
        "_is_json",
        "_network",
        "_on_begin",
        "_send",
        "_unread",
        "_waiting",
        "begun",
        "counted",
        "is_over",
        "refusal",
    )

    def __init__(
        self,
        send: Any,
        connection: HttpConnection,
        unread: UnreadConnections,
        network: str | None,
    ) -> None:
        self._send = send
        self._connection = connection
        self._unread = unread
        self._network = network
        self._on_begin: list[Callable[[], None]] = []
        self._waiting: deque[Any] = deque()
        self._drainer: asyncio.Task[None] | None = None
        self._is_json = False
        self._caller: str | None = None
        self.counted = 0
        self.begun = False
        self.is_over = False
        """Further events of the application are dropped."""
        self.refusal: Refusal | None = None

    async def send(self, event: Any) -> None:
        """Receives the application's events."""
        if self.is_over:
            return
        if not self.begun:
            self.begun = True
            for notify in self._on_begin:
                notify()
            if event["type"] == "http.response.start" and self._refuses(event.get("headers", ())):
                self.is_over = True
                return
        if self._drainer is None or self._drainer.done():
            if self._connection.is_writable():
                await self._forward(event)
                return
            self._unread.watch(self._connection)
            if not self._is_json:
                await self._connection.writable()
                await self._forward(event)
                return
            self._drainer = asyncio.ensure_future(self._drain())
        self._queue(event)

    def on_begin(self, notify: Callable[[], None]) -> None:
        """Registers a callback for the first event of the response."""
        self._on_begin.append(notify)

    async def sent(self) -> None:
        """Waits until all is sent. Call `close` afterwards, also after an error."""
        if self._drainer is not None:
            await self._drainer

    def close(self) -> None:
        """Drops the unsent rest and releases its bytes."""
        if self._drainer is not None:
            self._drainer.cancel()
        self._release()
        if self._connection.is_waiting():
            self._unread.watch(self._connection)

    def cut(self) -> None:
        """Closes the connection, and releases the bytes at once."""
        unread_disconnects.inc()
        self.is_over = True
        self._release()
        self._connection.abort()

    def _release(self) -> None:
        response_bytes.note_ended(self)
        if self._caller is not None and self.counted:
            response_bytes.add(self._caller, -self.counted)
            self.counted = 0

    def _refuses(self, headers: Any) -> bool:
        """Returns whether the response exceeds a limit; counts it otherwise."""
        length = 0
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-length":
                length = int(value)
            elif lower == b"content-type":
                self._is_json = value.startswith(b"application/json")
        if length <= SMALL:
            return False
        size = length if self._is_json else WINDOW
        setting = response_bytes.exceeded_setting(self._caller_name(), size)
        if setting == "CHAT_RESPONSE_BYTES" and response_bytes.make_room(size):
            setting = None
        if setting is not None:
            self.refusal = busy(setting)
            return True
        self._connection.bound()
        self._count(size)
        return False

    def _caller_name(self) -> str:
        """Returns the user of an authenticated request, else the address."""
        if self._caller is None:
            context = log_context()
            user_id = None if context is None else context.user_id
            self._caller = f"user:{user_id}" if user_id is not None else f"{self._network}"
        return self._caller

    def _count(self, size: int) -> None:
        response_bytes.note_begun(self)
        response_bytes.add(self._caller_name(), size)
        self.counted += size

    def _queue(self, event: Any) -> None:
        if not self.counted:  # a small response: `_refuses` did not count it
            self._count(len(event.get("body", b"")))
        self._waiting.append(event)

    async def _drain(self) -> None:
        while self._waiting:
            await self._connection.writable()
            await self._forward(self._waiting.popleft())

    async def _forward(self, event: Any) -> None:
        await self._send(event)
        if self.counted and self._is_json:
            sent = min(self.counted, len(event.get("body", b"")))
            response_bytes.add(self._caller_name(), -sent)
            self.counted -= sent
