"""Reports whether a peer reads its HTTP response, and can abort the connection.

uvicorn's `send` waits while the peer does not read, and blocks its caller. Daphne's never waits:
Twisted buffers everything. Here both report when they accept more. On an unknown server responses
are sent without these limits.
"""

import asyncio
import logging
from functools import cache, partial
from typing import Any, Protocol

from .http_bodies import BodyRefused
from .kernel_buffers import bound_kernel, unread_in_kernel
from .uploads import Upload

log = logging.getLogger(__name__)

UVICORN = ("flow", "transport")
"""Attributes of RequestResponseCycle, whose bound method is uvicorn's `send`."""
FLOW = ("write_paused", "drain")
TRANSPORT = ("get_write_buffer_size", "get_extra_info", "abort", "is_closing")
TWISTED_REQUEST = ("channel", "registerProducer", "unregisterProducer")
TWISTED_CHANNEL = ("_waitingForTransport", "persistent", "transport")
TWISTED_TRANSPORT = ("abortConnection", "dataBuffer", "offset", "_tempDataLen", "connected")
"""In REQUIRED of `uvicorn_http` and `daphne_http`, except TRANSPORT, which asyncio documents."""


class HttpConnection(Protocol):
    """The connection of one HTTP response."""

    @property
    def transport(self) -> Any:
        """The same object for all responses of a connection."""

    def is_writable(self) -> bool:
        """Returns whether `send` would accept data without waiting or buffering it."""

    async def writable(self) -> None:
        """Waits until `is_writable`, or until the connection is lost."""

    def unread(self) -> int:
        """Returns the bytes that wait for the peer, in this process and in the kernel."""

    def is_waiting(self) -> bool:
        """Returns whether this process buffers bytes because the kernel accepts no more."""

    def is_lost(self) -> bool: ...

    @property
    def refusal(self) -> BodyRefused | None:
        """Why this server passed the request on without its body, or None."""

    def take_upload(self) -> Upload | None:
        """Returns the upload that this server has received already; the caller closes it."""

    def bound(self) -> None:
        """Bounds the kernel's buffer, and how long it waits for the peer."""

    def close_after_response(self) -> None:
        """Closes the connection after this response, which has `Connection: close`."""

    def abort(self) -> None: ...


def http_connection(send: Any) -> HttpConnection:
    """Returns the connection of the server's `send`, unwrapped by `__wrapped__`."""
    send = getattr(send, "__wrapped__", send)
    if isinstance(send, partial) and send.args:
        request = send.args[0]
        channel: Any = getattr(request, "channel", None)
        if (
            _has(request, TWISTED_REQUEST)
            and _has(channel, TWISTED_CHANNEL)
            and _has(channel.transport, TWISTED_TRANSPORT)
        ):
            return TwistedHttpConnection(request)
    else:
        cycle: Any = getattr(send, "__self__", None)
        if _has(cycle, UVICORN) and _has(cycle.flow, FLOW) and _has(cycle.transport, TRANSPORT):
            return UvicornHttpConnection(cycle)
    _warn(getattr(send, "__module__", None) or type(send).__module__)
    return UnknownHttpConnection()


@cache
def _warn(server: str) -> None:
    """Logs one warning for each server."""
    log.warning("Unknown server (%s): unread HTTP responses are not limited", server)


def _has(thing: Any, names: tuple[str, ...]) -> bool:
    return all(hasattr(thing, name) for name in names)


class UvicornHttpConnection:
    __slots__ = ("_flow", "transport")

    refusal: BodyRefused | None = None

    def __init__(self, cycle: Any) -> None:
        self._flow = cycle.flow
        self.transport = cycle.transport

    def is_writable(self) -> bool:
        return not self._flow.write_paused

    async def writable(self) -> None:
        await self._flow.drain()

    def unread(self) -> int:
        size: int = self.transport.get_write_buffer_size()
        return size + unread_in_kernel(self.transport.get_extra_info("socket"))

    def is_waiting(self) -> bool:
        return bool(self.transport.get_write_buffer_size())

    def is_lost(self) -> bool:
        return bool(self.transport.is_closing()) and not self.transport.get_write_buffer_size()

    def take_upload(self) -> Upload | None:
        """Returns None: uvicorn passes a request on before its body."""
        return None

    def bound(self) -> None:
        bound_kernel(self.transport.get_extra_info("socket"))

    def close_after_response(self) -> None:
        """uvicorn closes by the header itself."""

    def abort(self) -> None:
        self.transport.abort()


class TwistedHttpConnection:
    __slots__ = ("_channel", "_request", "_resumed", "transport")

    def __init__(self, request: Any) -> None:
        self._request = request
        self._channel = request.channel
        self.transport = request.channel.transport
        self._resumed: asyncio.Event | None = None

    def is_writable(self) -> bool:
        return not self._channel._waitingForTransport or not self.transport.connected

    async def writable(self) -> None:
        """Registers as the producer, which Twisted resumes after its writes."""
        if self.is_writable():
            return
        self._resumed = asyncio.Event()
        self._request.registerProducer(self, streaming=True)
        try:
            await self._resumed.wait()
        finally:
            if self._request.channel is not None:
                self._request.unregisterProducer()

    def unread(self) -> int:
        return self._buffered() + unread_in_kernel(getattr(self.transport, "socket", None))

    def is_waiting(self) -> bool:
        return bool(self._buffered())

    def _buffered(self) -> int:
        transport = self.transport
        buffered: int = transport._tempDataLen + len(transport.dataBuffer) - transport.offset
        return buffered

    @property
    def refusal(self) -> BodyRefused | None:
        refusal: BodyRefused | None = getattr(self._request, "refusal", None)
        return refusal

    def take_upload(self) -> Upload | None:
        take = getattr(self._request, "take_upload", None)
        return None if take is None else take()

    def is_lost(self) -> bool:
        return not self.transport.connected

    def bound(self) -> None:
        bound_kernel(getattr(self.transport, "socket", None))

    def close_after_response(self) -> None:
        """Overrides Twisted, which decided when it parsed the request."""
        self._channel.persistent = 0

    def abort(self) -> None:
        self.transport.abortConnection()

    # Called by Twisted (IPushProducer)

    def pauseProducing(self) -> None:  # noqa: N802
        """Needs nothing: no data is sent while `writable` waits."""

    def resumeProducing(self) -> None:  # noqa: N802
        if self._resumed is not None:
            self._resumed.set()

    stopProducing = resumeProducing  # noqa: N815


class UnknownHttpConnection:
    __slots__ = ()

    transport = None
    refusal: BodyRefused | None = None

    def is_writable(self) -> bool:
        return True

    async def writable(self) -> None:
        """Returns at once: `is_writable` is always true."""

    def unread(self) -> int:
        return 0

    def is_waiting(self) -> bool:
        return False

    def is_lost(self) -> bool:
        return True

    def take_upload(self) -> Upload | None:
        return None

    def bound(self) -> None:
        """Does nothing: an unknown server keeps the kernel's defaults."""

    def close_after_response(self) -> None:
        """Does nothing: servers usually close by the header."""

    def abort(self) -> None:
        """Does nothing: an unknown server has no API for it."""
