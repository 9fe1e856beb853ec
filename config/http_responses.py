"""Responses that clients do not read: bounded in bytes, released from Django, cut after a time.

A JSON response exists whole before its first byte is sent. Django hands it over at once, however
slowly the client reads: meanwhile it would keep a thread and a connection to the database. What the
client has not taken yet waits here, counts against its user, and shrinks with each piece. Anything
else, such as a static file, is read from its source at the client's pace.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from django.conf import settings
from prometheus_client import Counter

from accounts.kernel.log_context import log_context
from realtime.servers.http_responses import HttpConnection

from .http_refusals import Refusal, busy

SMALL = 64 * 1024
"""Bytes. Smaller responses are not refused: some are answers to writes, which are done by then."""
WINDOW = 128 * 1024
"""Bytes that a response which is not JSON may have on its way: a piece and a server's buffer."""
SWEEP_INTERVAL = 1.0

unread_disconnects = Counter(
    "chat_http_unread_disconnects", "HTTP connections cut because the client did not read"
)


class ResponseBytes:
    """Counts the bytes of started responses that clients have not taken, by caller and in all."""

    def __init__(self) -> None:
        self.total = 0
        self._by_caller: dict[str, int] = {}

    def refusing(self, caller: str, size: int) -> str | None:
        """Returns the setting that refuses so many more; the first response is never too large."""
        mine = self._by_caller.get(caller, 0)
        limit: int | None = settings.CHAT_RESPONSE_BYTES_PER_USER
        if limit is not None and mine and mine + size > limit:
            return "CHAT_RESPONSE_BYTES_PER_USER"
        limit = settings.CHAT_RESPONSE_BYTES
        if limit is not None and self.total and self.total + size > limit:
            return "CHAT_RESPONSE_BYTES"
        return None

    def add(self, caller: str, size: int) -> None:
        """Counts `size` bytes more, or fewer when it is negative."""
        self.total += size
        left = self._by_caller.get(caller, 0) + size
        if left:
            self._by_caller[caller] = left
        else:
            self._by_caller.pop(caller, None)


response_bytes = ResponseBytes()


class UnreadConnections:
    """Cuts connections whose clients take nothing for CHAT_UNREAD_TIMEOUT.

    The kernel does the same for TCP, but a proxy on a Unix socket knows no such timeout.
    """

    def __init__(self) -> None:
        self._watched: dict[Any, Unread] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: HttpConnection) -> None:
        """Looks after it until the client has taken all that was sent so far."""
        if connection.transport is None or connection.transport in self._watched:
            return
        self._watched[connection.transport] = Unread(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_INTERVAL, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for transport, unread in [*self._watched.items()]:
            if unread.is_over(now):
                del self._watched[transport]
        self._timer = loop.call_later(SWEEP_INTERVAL, self._sweep) if self._watched else None


class Unread:
    """A connection with unread bytes, and when their number last changed."""

    __slots__ = ("_connection", "_left", "_since")

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self._left: int | None = None

    def is_over(self, now: float) -> bool:
        """Whether it has been read or cut."""
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
    """Takes the application's response, and passes it on as fast as the client reads."""

    __slots__ = (
        "_caller",
        "_connection",
        "_counted",
        "_drainer",
        "_is_whole",
        "_network",
        "_on_begin",
        "_send",
        "_unread",
        "_waiting",
        "begun",
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
        self._is_whole = False
        self._caller: str | None = None
        self._counted = 0
        self.begun = False
        self.is_over = False
        """What the application says from here on is dropped."""
        self.refusal: Refusal | None = None

    async def send(self, event: Any) -> None:
        """Is the application's `send`."""
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
                await self._pass_on(event)
                return
            self._unread.watch(self._connection)
            if not self._is_whole:
                await self._connection.writable()
                await self._pass_on(event)
                return
            self._drainer = asyncio.ensure_future(self._drain())
        self._keep(event)

    def on_begin(self, notify: Callable[[], None]) -> None:
        """Calls it when the application begins to answer."""
        self._on_begin.append(notify)

    async def sent(self) -> None:
        """Waits until the client, or its connection, has taken all. Call `close` in any case."""
        if self._drainer is not None:
            await self._drainer

    def close(self) -> None:
        """Lets go of what was not taken."""
        if self._drainer is not None:
            self._drainer.cancel()
        if self._caller is not None and self._counted:
            response_bytes.add(self._caller, -self._counted)
            self._counted = 0
        if self._connection.is_waiting():
            self._unread.watch(self._connection)

    def _refuses(self, headers: Any) -> bool:
        """Whether it is one too many for its caller or for this process. Counts it when not."""
        length = 0
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-length":
                length = int(value)
            elif lower == b"content-type":
                self._is_whole = value.startswith(b"application/json")
        if length <= SMALL:
            return False
        size = length if self._is_whole else WINDOW
        setting = response_bytes.refusing(self._caller_name(), size)
        if setting is not None:
            self.refusal = busy(setting)
            return True
        self._connection.bound()
        self._count(size)
        return False

    def _caller_name(self) -> str:
        """The user, once the request has signed in; else the address."""
        if self._caller is None:
            here = log_context()
            user_id = None if here is None else here.user_id
            self._caller = f"user:{user_id}" if user_id is not None else f"{self._network}"
        return self._caller

    def _count(self, size: int) -> None:
        response_bytes.add(self._caller_name(), size)
        self._counted += size

    def _keep(self, event: Any) -> None:
        if not self._counted:  # a small one: nothing was counted when it began
            self._count(len(event.get("body", b"")))
        self._waiting.append(event)

    async def _drain(self) -> None:
        while self._waiting:
            await self._connection.writable()
            await self._pass_on(self._waiting.popleft())

    async def _pass_on(self, event: Any) -> None:
        await self._send(event)
        if self._counted and self._is_whole:
            gone = min(self._counted, len(event.get("body", b"")))
            response_bytes.add(self._caller_name(), -gone)
            self._counted -= gone
