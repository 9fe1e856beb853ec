"""Bounds request heads, bodies and connections of daphne.

Twisted waits for a request head while bytes drip in (decision 31). Bodies are in `daphne_bodies`.

`REQUIRED` lists the names of daphne and Twisted that this file, `daphne_bodies` and
`http_responses` use. A class that lacks any is left unchanged.
"""

import sys
from collections.abc import Callable
from typing import Any, ClassVar

import daphne.server  # noqa: F401 - before Twisted: it installs the reactor
from daphne.http_protocol import HTTPFactory, WebRequest
from django.conf import settings
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.web import http
from typing_extensions import override

from accounts.kernel.metrics import count_refusal

from . import http_responses
from .daphne_bodies import BODIES, bound_bodies
from .http_bodies import UnfinishedBodies
from .http_connections import HeadDeadline, OpenConnections, leave_uncounted
from .required import RequiredNames, missing_names
from .uploads import Uploads

HTTP = (
    RequiredNames(http, ("_GenericHTTPChannelProtocol",)),
    RequiredNames(HTTPFactory, ("protocol",)),
    RequiredNames(
        http.HTTPChannel,
        (
            "_receivedHeaderCount",
            "_receivedHeaderSize",
            "allHeadersReceived",
            "maxHeaders",
            "requestDone",
            "totalHeadersSize",
        ),
    ),
)
RESPONSES = (
    RequiredNames(WebRequest, http_responses.TWISTED_REQUEST),
    RequiredNames(http.HTTPChannel, http_responses.TWISTED_CHANNEL),
    RequiredNames(Server, http_responses.TWISTED_TRANSPORT),
)
REQUIRED = (*HTTP, *BODIES, *RESPONSES)


class BoundedChannel(http.HTTPChannel):
    """An HTTP connection with limits for request heads."""

    open_connections: ClassVar[OpenConnections]
    """Set by `bound_http`: Twisted builds this object."""
    transport: Any
    _in_head = True
    _is_idle = False

    @override
    def connectionMade(self) -> None:
        super().connectionMade()
        self._deadline = HeadDeadline(self._expire)
        self.maxHeaders = settings.CHAT_HEADER_COUNT or sys.maxsize
        self.totalHeadersSize = settings.CHAT_HEADER_SIZE or sys.maxsize
        leave = self.open_connections.enter(getattr(self.transport.getPeer(), "host", None))
        if leave is None:
            self.transport.abortConnection()
            return
        self._deadline.begin()
        if leave is not leave_uncounted:
            _call_when_lost(self.transport, leave)

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._is_idle:
            self._is_idle = False
            self._deadline.end()
        super().dataReceived(data)
        if self._in_head:
            self._deadline.begin()
            self._note_refusal()

    def _note_refusal(self) -> None:
        """Counts a head that was too large, which Twisted refuses and closes."""
        if self._receivedHeaderSize > self.totalHeadersSize:
            count_refusal("CHAT_HEADER_SIZE")
        elif self._receivedHeaderCount > self.maxHeaders:
            count_refusal("CHAT_HEADER_COUNT")

    @override
    def allHeadersReceived(self) -> None:
        self._in_head = False
        self._deadline.end()
        super().allHeadersReceived()

    @override
    def requestDone(self, request: Any) -> None:
        # Before super(): it may start the next request at once.
        self._in_head = self._is_idle = True
        self._deadline.begin()
        super().requestDone(request)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.end()
        super().connectionLost(reason)

    def _expire(self) -> None:
        self._deadline.end()
        if not self._is_idle:
            count_refusal("CHAT_HEADER_TIMEOUT")
        self.loseConnection()


def _call_when_lost(transport: Any, call: Callable[[], None]) -> None:
    """Calls `call` once when the connection is lost, even after an upgrade."""

    def connection_lost(reason: Any) -> None:
        del transport.connectionLost
        call()
        transport.connectionLost(reason)

    transport.connectionLost = connection_lost


def bound_http(connections: OpenConnections, bodies: UnfinishedBodies, uploads: Uploads) -> None:
    """Makes daphne build bounded channels and requests from now on."""
    BoundedChannel.open_connections = connections
    if not missing_names(HTTP):
        HTTPFactory.protocol = staticmethod(_new_channel)
    if not missing_names(BODIES):
        bound_bodies(bodies, uploads)


def _new_channel() -> Any:
    return http._GenericHTTPChannelProtocol(BoundedChannel())
