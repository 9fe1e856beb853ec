"""Bounds request heads and connections of uvicorn.

Both HTTP classes of uvicorn wait for a request head without a timeout (decision 31). They are
replaced when the application is loaded, before the first connection.

`REQUIRED` lists the names of uvicorn that this file and `http_responses` use. A class that lacks
any is left unchanged.
"""

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from django.conf import settings
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http import h11_impl, httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from accounts.kernel.metrics import count_refusal

from . import http_responses
from .http_bodies import UnfinishedBodies
from .http_connections import (
    HeadDeadline,
    OpenConnections,
    leave_uncounted,
    too_large_head,
    too_many_headers,
)
from .required import RequiredNames, missing_names
from .uploads import Uploads

HTTPTOOLS = (
    RequiredNames(
        HttpToolsProtocol,
        (
            "config",
            "cycle",
            "handle_websocket_upgrade",
            "headers",
            "on_headers_complete",
            "on_message_complete",
            "pipeline",
            "send_400_response",
            "timeout_keep_alive_task",
            "transport",
        ),
    ),
    RequiredNames(httptools_impl.RequestResponseCycle, ("response_complete",)),
)
H11 = (
    RequiredNames(
        H11Protocol,
        (
            "config",
            "conn",
            "cycle",
            "handle_websocket_upgrade",
            "send_400_response",
            "timeout_keep_alive_task",
            "transport",
        ),
    ),
    RequiredNames(h11_impl.RequestResponseCycle, ("response_complete",)),
)
RESPONSES = (
    RequiredNames(httptools_impl.RequestResponseCycle, http_responses.UVICORN),
    RequiredNames(h11_impl.RequestResponseCycle, http_responses.UVICORN),
    RequiredNames(FlowControl, http_responses.FLOW),
)
REQUIRED = (*HTTPTOOLS, *H11, *RESPONSES)

MAX_PIPELINED = 32
"""Requests that wait for the answer to the one before them, 2 KB each. uvicorn bounds them by the
size of a read alone, which may hold 14,000."""
MAX_CHUNK = 4096
"""Bytes that are parsed before limits are checked again: one read may have 256 KiB."""
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class HttpConnection:
    """Limits request heads and connections per address, for both HTTP classes."""

    open_connections: ClassVar[OpenConnections]
    """Set by `bound_http`: uvicorn builds the protocols, which build this object."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._deadline = HeadDeadline(self._expire)
        self._leave: Callable[[], None] | None = None
        self.is_upgraded = False

    def opened(self) -> None:
        transport = self._protocol.transport
        peer = transport.get_extra_info("peername")
        # On a Unix socket it is a string, usually empty.
        self._leave = self.open_connections.enter(peer[0] if isinstance(peer, tuple) else None)
        if self._leave is None:
            transport.abort()
        else:
            self._deadline.begin()

    def received(self) -> None:
        """Starts the deadline after a read without an open request, or else ends it."""
        protocol = self._protocol
        if self.is_upgraded:
            return
        if self._is_answered():
            if protocol.timeout_keep_alive_task is None and not protocol.transport.is_closing():
                self._deadline.begin()
        else:
            self._deadline.end()

    def upgraded(self) -> None:
        """Ends the deadline. The connection still counts until the WebSocket is lost."""
        self.is_upgraded = True
        self._deadline.end()
        leave, self._leave = self._leave, None
        if leave not in (None, leave_uncounted):
            _call_when_lost(self._protocol.transport.get_protocol(), leave)

    def lost(self) -> None:
        self._deadline.end()
        if self._leave is not None:
            self._leave()
            self._leave = None

    def refuse_head(self) -> None:
        self._protocol.transport.write(TOO_LARGE)
        self._protocol.transport.close()

    def _is_answered(self) -> bool:
        cycle = self._protocol.cycle
        return cycle is None or cycle.response_complete

    def _expire(self) -> None:
        self._deadline.end()
        if self._is_answered() and not self._protocol.transport.is_closing():
            count_refusal("CHAT_HEADER_TIMEOUT")
            self._protocol.transport.close()


def refuse_compression(config: Config) -> None:
    """Turns off permessage-deflate, also against the command line (decision 45).

    uvicorn reads this setting each time it builds a WebSocket protocol of any class.
    """
    config.ws_per_message_deflate = False


def _call_when_lost(protocol: Any, call: Callable[[], None]) -> None:
    """Calls `call` once before `connection_lost`, even if the class changes first."""

    def connection_lost(exc: Exception | None) -> None:
        del protocol.connection_lost
        call()
        protocol.connection_lost(exc)

    protocol.connection_lost = connection_lost


class BoundedHttpTools(HttpToolsProtocol):
    """Bounds heads with httptools, which itself accepts any size."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connection = HttpConnection(self)
        self._head_size = 0
        self._in_head = True
        self._is_refused = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection.opened()

    @override
    def data_received(self, data: bytes) -> None:
        # Heads are parsed in chunks, so little beyond the limit is parsed; bodies all at once.
        step = MAX_CHUNK if self._in_head else len(data)
        for start in range(0, len(data), step or 1):
            if self.transport.is_closing() or self._connection.is_upgraded:
                return
            self._feed(data[start : start + step])
        self._connection.received()

    def _feed(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
            if too_large_head(self._head_size):
                self._connection.refuse_head()
                return
        super().data_received(data)

    @override
    def on_headers_complete(self) -> None:
        self._in_head, self._head_size = False, 0
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
            raise ValueError("too many requests wait")  # ends the parser
        if too_many_headers(len(self.headers)):
            self._is_refused = True
            raise ValueError("too many headers")
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    @override
    def send_400_response(self, msg: str) -> None:
        if self._is_refused:
            self._connection.refuse_head()
        elif not self.transport.is_closing():
            super().send_400_response(msg)

    @override
    def handle_websocket_upgrade(self) -> None:
        refuse_compression(self.config)
        super().handle_websocket_upgrade()
        self._connection.upgraded()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()
        super().connection_lost(exc)


class HeadBoundedH11(h11.Connection):
    """Bounds complete heads too: h11 itself only bounds those that are incomplete."""

    @override
    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            headers = event.headers.raw_items()
            size = len(event.target) + sum(len(name) + len(value) for name, value in headers)
            if too_many_headers(len(headers)) or too_large_head(size):
                raise h11.RemoteProtocolError("too large", error_status_hint=431)
        return event


class BoundedH11(H11Protocol):
    """Bounds heads with h11."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = HeadBoundedH11(h11.SERVER, settings.CHAT_HEADER_SIZE or sys.maxsize)
        self._connection = HttpConnection(self)

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection.opened()

    @override
    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._connection.received()

    @override
    def send_400_response(self, msg: str) -> None:
        error = sys.exception()
        if (
            isinstance(error, h11.RemoteProtocolError)
            and error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        ):
            self._connection.refuse_head()
        else:
            super().send_400_response(msg)

    @override
    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        refuse_compression(self.config)
        super().handle_websocket_upgrade(event)
        self._connection.upgraded()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()
        super().connection_lost(exc)


def bound_http(connections: OpenConnections, *_: UnfinishedBodies | Uploads) -> None:
    """Makes uvicorn build bounded protocols from now on.

    uvicorn has already chosen its classes, and users start it by its own command. So `__new__` of
    its classes builds ours.
    """
    HttpConnection.open_connections = connections
    for stock, bounded, required in (
        (HttpToolsProtocol, BoundedHttpTools, HTTPTOOLS),
        (H11Protocol, BoundedH11, H11),
    ):
        if not missing_names(required) and "__new__" not in vars(stock):
            stock.__new__ = _making(stock, bounded)  # type: ignore[method-assign]


def _making(stock: type, bounded: type) -> Any:
    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(bounded if cls is stock else cls)

    return staticmethod(new)
