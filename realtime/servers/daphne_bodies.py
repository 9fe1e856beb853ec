"""Makes daphne bound request bodies while they arrive.

Twisted collects a whole body before daphne passes the request on, without a limit, and on disk
above 100 kB. Here a body stays in memory up to its limit. A refused request is passed on at once,
without its body and with the reason in `refusal`: the application sends the error, and Twisted
closes the connection.
"""

from io import BytesIO
from typing import Any, ClassVar

from daphne import http_protocol
from django.conf import settings
from twisted.web.http import HTTPChannel
from typing_extensions import override

from accounts.auth import client_address, network_of

from .http_bodies import (
    MAX_DISCARDED,
    MIN_BODY_RATE,
    TOO_LARGE,
    TOO_SLOW,
    Body,
    BodyRefused,
    UnfinishedBodies,
    max_body_size,
)
from .required import RequiredNames

BODIES = (
    RequiredNames(
        http_protocol.WebRequest,
        (
            "_disconnected",
            "_parsePOSTFormSubmission",
            "channel",
            "client",
            "connectionLost",
            "content",
            "gotLength",
            "handleContentChunk",
            "requestHeaders",
            "requestReceived",
        ),
    ),
    RequiredNames(
        HTTPChannel,
        ("_path", "allContentReceived", "callLater", "length", "persistent", "rawDataReceived"),
    ),
)
"""Names of daphne and Twisted that this file uses; part of `daphne.REQUIRED`."""


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """A request of daphne with a bounded body."""

    unfinished_bodies: ClassVar[UnfinishedBodies]
    """Set by `bound_bodies`: Twisted builds this object."""

    _body: Body | None = None
    _deadline: Any = None
    _discarded = 0
    _granted = 0.0
    _is_passed_on = False
    refusal: BodyRefused | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Daphne ignores forms that Twisted parses, and Twisted itself refuses some of them.
        super().__init__(*args, **kwargs)
        self._parsePOSTFormSubmission = False

    @override
    def gotLength(self, length: int | None) -> None:
        """Runs after the headers; None stands for a chunked body."""
        self.content = BytesIO()
        if length == 0:
            return
        self._limit = max_body_size(self.channel._path.decode("latin-1"))
        if length is not None and length > self._limit:
            self.requestHeaders.removeHeader(b"expect")  # Twisted must not ask for the body
            self.refusal = TOO_LARGE
            self.channel.persistent = False
            self.channel.length = 0  # passes it on as soon as this returns
            self.channel.rawDataReceived = self._discard
            return
        self._deadline = self.channel.callLater(settings.CHAT_BODY_TIMEOUT, self._check_deadline)
        self._body = self.unfinished_bodies.begin(self._network(), self._refuse_soon)

    @override
    def handleContentChunk(self, data: bytes) -> None:
        if self.refusal is not None or self._body is None:
            return
        if self.content.tell() + len(data) > self._limit:
            self._refuse_soon(TOO_LARGE)
            return
        self.content.write(data)
        self.unfinished_bodies.grow(self._body, len(data))

    @override
    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self._is_passed_on = True
        self._end()
        if self.refusal is not None:
            self.content = BytesIO()
        super().requestReceived(command, path, version)

    @override
    def connectionLost(self, reason: Any) -> None:
        self._end()
        super().connectionLost(reason)

    def _network(self) -> str | None:
        forwarded = self.requestHeaders.getRawHeaders(b"x-forwarded-for", ())
        chain = b",".join(forwarded).decode("latin-1")
        return network_of(client_address(getattr(self.client, "host", None), chain))

    def _check_deadline(self) -> None:
        """Refuses a body that arrives more slowly than MIN_BODY_RATE."""
        self._deadline = None
        if self._body is None:
            return
        allowed = self._body.size / MIN_BODY_RATE
        if allowed > self._granted:
            self._deadline = self.channel.callLater(allowed - self._granted, self._check_deadline)
            self._granted = allowed
        else:
            self._refuse(TOO_SLOW)

    def _refuse_soon(self, refusal: BodyRefused) -> None:
        """Refuses outside Twisted's decoder, which would continue with its buffer."""
        if self.refusal is None:
            self.refusal = refusal
            if self.channel is not None:
                self.channel.callLater(0, self._pass_on)

    def _refuse(self, refusal: BodyRefused) -> None:
        self.refusal = self.refusal or refusal
        self._pass_on()

    def _pass_on(self) -> None:
        if self._is_passed_on or self._disconnected:
            return
        self.channel.persistent = False
        self.channel.rawDataReceived = self._discard
        self.channel.allContentReceived()

    def _discard(self, data: bytes) -> None:
        """Reads on during the response: closing would reset the connection."""
        self._discarded += len(data)
        if self._discarded > MAX_DISCARDED and self.channel is not None:
            self.channel.transport.pauseProducing()

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._body is not None:
            self.unfinished_bodies.end(self._body)
            self._body = None


def bound_bodies(bodies: UnfinishedBodies) -> None:
    """Makes daphne use BoundedRequest: HTTPFactory reads it per connection."""
    BoundedRequest.unfinished_bodies = bodies
    http_protocol.WebRequest = BoundedRequest
