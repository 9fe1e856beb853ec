"""HTTP connections beyond ASGI: whether the peer reads, and cutting it when it does not.

uvicorn's `send` waits while the peer does not read, but keeps its caller waiting with it. Daphne's
never waits: all that is sent piles up in Twisted. Here both say when they take more. On a server
that is not known here everything is sent as before, and nothing is cut.
"""

import asyncio
import logging
from functools import cache, partial
from typing import Any, Protocol

from .http_bodies import BodyRefused
from .kernel_buffers import bound_kernel, unread_in_kernel

log = logging.getLogger(__name__)

UVICORN = ("flow", "transport")
"""Of the object whose bound method uvicorn's `send` is (RequestResponseCycle)."""
FLOW = ("write_paused", "drain")
TRANSPORT = ("get_write_buffer_size", "get_extra_info", "abort", "is_closing")
TWISTED_REQUEST = ("channel", "registerProducer", "unregisterProducer")
TWISTED_CHANNEL = ("_waitingForTransport", "persistent", "transport")
TWISTED_TRANSPORT = ("abortConnection", "dataBuffer", "offset", "_tempDataLen", "connected")
"""These names are in REQUIRED of `uvicorn.py` and `daphne.py`; those of TRANSPORT are asyncio's."""


class HttpConnection(Protocol):
    """The connection below one HTTP response."""

    @property
    def transport(self) -> Any:
        """What stays the same for all responses of one connection."""

    def is_writable(self) -> bool:
        """Whether `send` takes a piece without waiting or piling up."""

    async def writable(self) -> None:
        """Waits until it does, or until the connection is lost."""

    def unread(self) -> int:
        """Bytes that the peer has not taken yet, in this process and in the kernel."""

    def is_waiting(self) -> bool:
        """Whether this process holds bytes that the kernel does not take."""

    def is_lost(self) -> bool: ...

    @property
    def refusal(self) -> BodyRefused | None:
        """Why this server handed the request on without its body, if it did."""

    def bound(self) -> None:
        """Bounds what the kernel holds, and for how long."""

    def close_after_response(self) -> None:
        """Closes it after this response, which says `Connection: close`."""

    def abort(self) -> None: ...


def http_connection(send: Any) -> HttpConnection:
    """`send` is the server's own, or a function that names it in `__wrapped__`."""
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
    """Logs it once."""
    log.warning("This server (%s) is not known: unread HTTP answers are not bounded", server)


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

    def bound(self) -> None:
        bound_kernel(self.transport.get_extra_info("socket"))

    def close_after_response(self) -> None:
        """uvicorn obeys the header."""

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
        """Is the request's producer meanwhile: Twisted says by that when it has written all."""
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
        return self._held() + unread_in_kernel(getattr(self.transport, "socket", None))

    def is_waiting(self) -> bool:
        return bool(self._held())

    def _held(self) -> int:
        transport = self.transport
        held: int = transport._tempDataLen + len(transport.dataBuffer) - transport.offset
        return held

    @property
    def refusal(self) -> BodyRefused | None:
        refusal: BodyRefused | None = getattr(self._request, "refusal", None)
        return refusal

    def is_lost(self) -> bool:
        return not self.transport.connected

    def bound(self) -> None:
        bound_kernel(getattr(self.transport, "socket", None))

    def close_after_response(self) -> None:
        """Twisted decides by the request."""
        self._channel.persistent = 0

    def abort(self) -> None:
        self.transport.abortConnection()

    # Called by Twisted, which names them

    def pauseProducing(self) -> None:  # noqa: N802
        """Nothing is sent meanwhile."""

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
        """Never called: it always is."""

    def unread(self) -> int:
        return 0

    def is_waiting(self) -> bool:
        return False

    def is_lost(self) -> bool:
        return True

    def bound(self) -> None:
        """Unknown servers keep the kernel's defaults."""

    def close_after_response(self) -> None:
        """Servers obey the header, as a rule."""

    def abort(self) -> None:
        """Unknown servers offer no way."""
