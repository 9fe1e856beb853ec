"""Makes daphne bound request bodies while they arrive.

Twisted collects a whole body before daphne passes the request on, without a limit, and on disk
above 100 kB. Here a body stays in memory up to its limit. A refused request is passed on at once,
without its body and with the reason in `refusal`: the application sends the error, and Twisted
closes the connection. An upload arrives in a file, which is passed on in `upload`. As Twisted does,
the event loop itself writes it, which is seldom slower than copying in memory.
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
)
from .required import RequiredNames
from .uploads import TOO_LARGE as UPLOAD_TOO_LARGE
from .uploads import Upload, Uploads, known_uploader, max_discarded, max_upload_size

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
        (
            "_command",
            "_path",
            "allContentReceived",
            "callLater",
            "length",
            "persistent",
            "rawDataReceived",
        ),
    ),
)
"""Names of daphne and Twisted that this file uses; part of `daphne.REQUIRED`."""


class BoundedRequest(http_protocol.WebRequest):  # type: ignore[misc]
    """A request of daphne with a bounded body."""

    unfinished_bodies: ClassVar[UnfinishedBodies]
    uploads: ClassVar[Uploads]
    """Both are set by `bound_bodies`: Twisted builds this object."""

    _body: Body | None = None
    _upload: Upload | None = None
    _deadline: Any = None
    _discarded = 0
    _max_discarded: float = MAX_DISCARDED
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
        user_id = self._uploader()
        self._limit: float = settings.CHAT_BODY_SIZE if user_id is None else max_upload_size()
        self._too_large = TOO_LARGE if user_id is None else UPLOAD_TOO_LARGE
        if user_id is not None:
            self._max_discarded = max_discarded()
        if length is not None and length > self._limit:
            self._refuse_unread(self._too_large, length)
            return
        if user_id is not None:
            try:
                self._upload = self.uploads.begin(user_id)
                self._upload.open()
            except BodyRefused as refusal:
                self._refuse_unread(refusal, length)
                return
        else:
            self._body = self.unfinished_bodies.begin(self._network(), self._refuse_soon)
        self._deadline = self.channel.callLater(settings.CHAT_BODY_TIMEOUT, self._check_deadline)

    def _uploader(self) -> int | None:
        command, path = self.channel._command, self.channel._path
        sent = self.requestHeaders.getRawHeaders(b"authorization", [b""])
        return known_uploader(
            command.decode("latin-1"),
            path.decode("latin-1").partition("?")[0],
            sent[0].decode("latin-1"),
        )

    def _refuse_unread(self, refusal: BodyRefused, length: int | None) -> None:
        """Refuses before the first byte of the body."""
        self.requestHeaders.removeHeader(b"expect")  # Twisted must not ask for the body
        if length is None:
            self._refuse_soon(refusal)
            return
        self.refusal = refusal
        self.channel.persistent = False
        self.channel.length = 0  # passes it on as soon as this returns
        self.channel.rawDataReceived = self._discard

    @override
    def handleContentChunk(self, data: bytes) -> None:
        if self.refusal is not None:
            return
        arriving = self._upload or self._body
        if arriving is None:
            return
        if arriving.size + len(data) > self._limit:
            self._refuse_soon(self._too_large)
        elif self._upload is not None:
            self._write(self._upload, data)
        elif self._body is not None:
            self.content.write(data)
            self.unfinished_bodies.grow(self._body, len(data))

    def _write(self, upload: Upload, data: bytes) -> None:
        try:
            upload.write(data)
            upload.size += len(data)
        except BodyRefused as refusal:
            self._refuse_soon(refusal)

    @override
    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self._is_passed_on = True
        self._end()
        if self.refusal is None and self._upload is not None:
            try:
                self._upload.rewind()
            except BodyRefused as refusal:
                self.refusal = refusal
        if self.refusal is not None:
            self.content = BytesIO()
            self._drop_upload()
        super().requestReceived(command, path, version)

    @override
    def connectionLost(self, reason: Any) -> None:
        self._end()
        self._drop_upload()
        super().connectionLost(reason)

    def take_upload(self) -> Upload | None:
        """Hands the upload over; the caller closes it."""
        upload, self._upload = self._upload, None
        return upload

    def _drop_upload(self) -> None:
        upload = self.take_upload()
        if upload is not None:
            upload.close()

    def _network(self) -> str | None:
        forwarded = self.requestHeaders.getRawHeaders(b"x-forwarded-for", ())
        chain = b",".join(forwarded).decode("latin-1")
        return network_of(client_address(getattr(self.client, "host", None), chain))

    def _check_deadline(self) -> None:
        """Refuses a body that arrives more slowly than MIN_BODY_RATE."""
        self._deadline = None
        arriving = self._upload or self._body
        if arriving is None:
            return
        allowed = arriving.size / MIN_BODY_RATE
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
        if self._discarded > self._max_discarded and self.channel is not None:
            self.channel.transport.pauseProducing()

    def _end(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._body is not None:
            self.unfinished_bodies.end(self._body)
            self._body = None


def bound_bodies(bodies: UnfinishedBodies, uploads: Uploads) -> None:
    """Makes daphne use BoundedRequest: HTTPFactory reads it per connection."""
    BoundedRequest.unfinished_bodies = bodies
    BoundedRequest.uploads = uploads
    http_protocol.WebRequest = BoundedRequest
