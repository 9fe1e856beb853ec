"""Limits number and duration of HTTP requests, and waits for them at shutdown.

Django gives each request a thread, and on SQLite a connection, until it is answered. The guard
limits both for the whole application, on the event loop. First the body arrives, under its own
limits; then the request counts; then its response is sent as fast as the client reads.
"""

import asyncio
import logging
from collections import Counter, deque
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from django.conf import settings

from accounts.auth import client_address, network_of
from accounts.kernel.errors import DomainError
from realtime.runtime import runtime
from realtime.servers.http_bodies import (
    TOO_LARGE,
    BodyReader,
    BodyRefused,
    discard_rest,
)
from realtime.servers.http_responses import HttpConnection, http_connection
from realtime.servers.uploads import TOO_LARGE as UPLOAD_TOO_LARGE
from realtime.servers.uploads import (
    Upload,
    is_upload,
    max_discarded,
    max_upload_size,
    receive_upload,
    uploader,
)

from .api_handler import BODY_FILE
from .http_refusals import (
    Refusal,
    busy,
    end_refusal,
    not_signed_in,
    refusal_of_body,
    send_refusal,
)
from .http_responses import PacedResponse, UnreadConnections

log = logging.getLogger(__name__)

RESTARTING = "The server restarts: try again shortly"
PROBE_PATHS = frozenset(
    f"/{name}{slash}" for name in ("healthz", "readyz", "metrics") for slash in ("", "/")
)
"""Paths for supervisors and Prometheus: answered even when all other limits are reached."""
UPLOAD_TIMEOUT = 60.0
"""Seconds for an upload whose body has arrived: images wait for a process."""
MAX_STORED_AT_ONCE = 2
"""Uploads that threads take apart and store at once. More would only need more memory."""
MAX_PROBES = 100
"""Unanswered requests to these paths: each keeps a thread while the database hangs."""


class UnansweredRequests:
    """Counts unanswered requests, in total and per address.

    Also keeps references to their tasks. A request that timed out counts until its thread is free.
    """

    def __init__(self) -> None:
        self._networks: dict[asyncio.Future[None], str | None] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._networks)

    def check(self, network: str | None) -> None:
        """Raises Refusal when the next request would exceed a limit."""
        limit: int | None = settings.CHAT_REQUESTS
        if limit is not None and len(self._networks) >= limit:
            raise busy("CHAT_REQUESTS")
        limit = settings.CHAT_REQUESTS_PER_ADDRESS
        if limit is not None and network is not None and self._by_network[network] >= limit:
            raise busy("CHAT_REQUESTS_PER_ADDRESS")

    def add(self, work: asyncio.Future[None], network: str | None) -> None:
        self._networks[work] = network
        if network is not None:
            self._by_network[network] += 1

    def discard(self, work: asyncio.Future[None]) -> None:
        """Stops counting a request. A second call does nothing."""
        network = self._networks.pop(work, None)
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]


unanswered = UnansweredRequests()


class UserTurns:
    """Limits the requests that run at once with one access token.

    The limit is CHAT_REQUESTS_PER_USER. Others wait. Building a response may take ten times its
    size: a hundred at once would need more memory than all limits of unread responses allow.
    """

    def __init__(self) -> None:
        self._running: dict[bytes, int] = {}
        self._waiting: dict[bytes, deque[asyncio.Future[None]]] = {}

    async def take(self, token: bytes) -> "Turn":
        """Waits for a turn.

        It ends when the response begins, so slow readers do not keep it.
        """
        limit: int | None = settings.CHAT_REQUESTS_PER_USER
        if limit is None or self._running.get(token, 0) < limit:
            self._running[token] = self._running.get(token, 0) + 1
            return Turn(self, token)
        turn_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(token, deque()).append(turn_ready)
        try:
            await turn_ready
        except asyncio.CancelledError:
            if turn_ready.done() and not turn_ready.cancelled():
                self.release(token)
            raise
        return Turn(self, token)

    def release(self, token: bytes) -> None:
        """Passes the turn on to the request that has waited longest."""
        waiting = self._waiting.get(token)
        while waiting:
            turn_ready = waiting.popleft()
            if not turn_ready.done():
                turn_ready.set_result(None)
                return
        self._waiting.pop(token, None)
        self._running[token] -= 1
        if not self._running[token]:
            del self._running[token]


class Turn:
    __slots__ = ("_token", "_turns")

    def __init__(self, turns: UserTurns, token: bytes) -> None:
        self._turns = turns
        self._token: bytes | None = token

    def end(self) -> None:
        """Ends the turn. A second call does nothing."""
        token, self._token = self._token, None
        if token is not None:
            self._turns.release(token)


class HttpGuard:
    """Wraps Django's ASGI application with all HTTP limits.

    Starts the runtime with the first request, because REST requests publish events too.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._turns = UserTurns()
        self._unread = UnreadConnections()
        self._storing = asyncio.Semaphore(MAX_STORED_AT_ONCE)
        self._probes: set[asyncio.Future[None]] = set()
        """References: asyncio keeps none to its tasks."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection = http_connection(send)
        try:
            is_file = is_upload(scope["method"], scope["path"])
            serve = self._serve_upload if is_file else self._serve
            await serve(scope, receive, send, connection)
        except Refusal as refusal:
            connection.close_after_response()
            await send_refusal(scope, send, refusal)
            is_early = connection.refusal is not None
            if is_upload(scope["method"], scope["path"]):
                await discard_rest(receive, handed_on_early=is_early, max_size=max_discarded())
            elif refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                await discard_rest(receive, handed_on_early=is_early)
            await end_refusal(send)

    async def _serve(self, scope: Any, receive: Any, send: Any, connection: HttpConnection) -> None:
        if runtime.lifecycle.stopped:
            raise busy(detail=RESTARTING)
        if connection.refusal is not None:
            raise refusal_of_body(connection.refusal)
        head = RequestHead(scope)
        is_probe = scope["path"] in PROBE_PATHS
        if head.length != 0:
            body = b"" if is_probe else await _read_body(head, receive)
            if body is None:
                return  # the client has disconnected
            receive = _with_body(body, receive)
            if runtime.lifecycle.stopped:
                raise busy(detail=RESTARTING)
        self._check_limits(head, is_probe=is_probe)
        runtime.start(asyncio.get_running_loop())
        response = PacedResponse(send, connection, self._unread, head.network)
        with runtime.lifecycle.working():
            work = asyncio.ensure_future(self._work(scope, receive, response, head.token))
            self._count(work, response, head, is_probe=is_probe)
            await _answer_in_time(scope, work, response, settings.CHAT_DATABASE_TIMEOUT)

    async def _serve_upload(
        self, scope: Any, receive: Any, send: Any, connection: HttpConnection
    ) -> None:
        """Receives the body into a file, for signed-in callers only, then answers."""
        upload = connection.take_upload()
        work: asyncio.Future[None] | None = None
        try:
            head = RequestHead(scope)
            upload = await _received(scope, head, receive, connection, upload)
            if upload is None:
                return  # the client has disconnected
            self._check_limits(head, is_probe=False)
            runtime.start(asyncio.get_running_loop())
            response = PacedResponse(send, connection, self._unread, head.network)
            scope, receive = _with_file(scope, upload), _with_body(b"", receive)
            with runtime.lifecycle.working():
                work = asyncio.ensure_future(self._store(scope, receive, response, head.token))
                self._count(work, response, head, is_probe=False)
                await _answer_in_time(scope, work, response, UPLOAD_TIMEOUT)
        finally:
            _close_after(work, upload)

    def _check_limits(self, head: "RequestHead", *, is_probe: bool) -> None:
        """Raises Refusal when the next request or probe would exceed a limit."""
        if not is_probe:
            unanswered.check(head.network)
        elif len(self._probes) >= MAX_PROBES:
            raise busy()

    def _count(
        self,
        work: asyncio.Future[None],
        response: PacedResponse,
        head: "RequestHead",
        *,
        is_probe: bool,
    ) -> None:
        """Counts a probe until its work ends, others until their response begins."""
        if is_probe:
            self._probes.add(work)
            work.add_done_callback(self._probes.discard)
        else:
            unanswered.add(work, head.network)
            work.add_done_callback(unanswered.discard)
            response.on_begin(partial(unanswered.discard, work))

    async def _store(
        self, scope: Any, receive: Any, response: PacedResponse, token: bytes | None
    ) -> None:
        async with self._storing:
            await self._work(scope, receive, response, token)

    async def _work(
        self, scope: Any, receive: Any, response: PacedResponse, token: bytes | None
    ) -> None:
        if token is None:
            await self._application(scope, receive, response.send)
            return
        turn = await self._turns.take(token)
        try:
            if not response.is_over:
                response.on_begin(turn.end)
                await self._application(scope, receive, response.send)
        finally:
            turn.end()


async def _received(
    scope: Any, head: "RequestHead", receive: Any, connection: HttpConnection, upload: Upload | None
) -> Upload | None:
    """Returns the whole upload, or None when the client disconnects. Raises Refusal.

    `upload` is one that the server has received already.
    """
    if runtime.lifecycle.stopped:
        raise busy(detail=RESTARTING)
    try:
        user_id = uploader(scope["method"], scope["path"], head.authorization) or 0
    except DomainError as error:
        raise not_signed_in(error) from None
    if connection.refusal is not None:
        raise refusal_of_body(connection.refusal)
    if upload is not None:
        return upload
    try:
        if head.length is not None and head.length > max_upload_size():
            raise UPLOAD_TOO_LARGE
        return await _spooled(receive, runtime.uploads.begin(user_id))
    except BodyRefused as refused:
        raise refusal_of_body(refused) from None


async def _spooled(receive: Any, upload: Upload) -> Upload | None:
    is_whole = False
    try:
        is_whole = await receive_upload(receive, upload)
    except OSError as error:
        log.error("An upload cannot be written to MEDIA_ROOT: %s", error.strerror)  # noqa: TRY400
        raise busy() from None
    finally:
        if not is_whole:
            upload.close()
    return upload if is_whole else None


def _with_file(scope: Any, upload: Upload) -> Any:
    """Returns a scope with the body as a file, and with its length.

    Chunked bodies name no length.
    """
    headers = [pair for pair in scope["headers"] if pair[0] not in BODY_HEADERS]
    length = (b"content-length", str(upload.size).encode())
    return scope | {BODY_FILE: upload.file, "headers": [*headers, length]}


BODY_HEADERS = (b"content-length", b"transfer-encoding")


def _close_after(work: asyncio.Future[None] | None, upload: Upload | None) -> None:
    """Deletes the file once nothing reads it: the thread of a late request still may."""
    if upload is None:
        return
    if work is None or work.done():
        upload.close()
    else:
        work.add_done_callback(lambda _: upload.close())


async def _answer_in_time(
    scope: Any,
    work: asyncio.Future[None],
    response: PacedResponse,
    timeout: float,  # noqa: ASYNC109 - the work goes on after it
) -> None:
    """Waits for the response.

    Raises Refusal on a timeout, or when the response is refused. When the database hangs, the
    request's thread cannot be stopped, and cancelling the request would wait for it. So the client
    gets the refusal at once, and the late response is dropped.
    """
    late = False
    try:
        await asyncio.wait([work], timeout=timeout)
        late = not response.begun and not work.done()
        if not late:
            # A client may read slowly.
            await work
            await response.sent()
    finally:
        response.is_over = late
        if not late:
            work.cancel()
            response.close()
    if response.refusal is not None:
        raise response.refusal
    if late:
        log.warning("A request timed out: %s", scope["path"])
        raise busy("CHAT_DATABASE_TIMEOUT")


async def _read_body(head: "RequestHead", receive: Any) -> bytes | None:
    """Reads the whole body, or returns None when the client disconnects.

    Raises Refusal.
    """
    limit: int = settings.CHAT_BODY_SIZE
    try:
        if head.length is not None and head.length > limit:
            raise TOO_LARGE
        return await BodyReader(receive, limit, head.network, runtime.unfinished_bodies).read()
    except BodyRefused as refused:
        raise refusal_of_body(refused) from None


def _with_body(body: bytes, receive: Any) -> Any:
    """Returns a `receive` that yields this body, then only a disconnect."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_rest() -> Any:
        if pending:
            return pending.pop()
        while (event := await receive())["type"] == "http.request":
            pass
        return event

    return receive_rest


class RequestHead:
    """Reads the headers that the guard needs, in one pass.

    `length` of the body is 0 without a body, and None when the headers do not state it.
    """

    __slots__ = ("length", "network", "token")

    def __init__(self, scope: Any) -> None:
        self.length: int | None = 0
        self.token: bytes | None = None
        forwarded = []
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.token = value
            elif name == b"content-length" and self.length is not None:
                self.length = int(value) if value.isdigit() else None
            elif name == b"transfer-encoding":
                self.length = None
            elif name == b"x-forwarded-for" and settings.CHAT_TRUSTED_PROXIES:
                forwarded.append(value.decode("latin-1"))
        client = scope.get("client")
        self.network = _network_of(client[0] if client else None, ",".join(forwarded))

    @property
    def authorization(self) -> str:
        return (self.token or b"").decode("latin-1")


@lru_cache(maxsize=4096)
def _network_of(peer: str | None, forwarded: str) -> str | None:
    return network_of(client_address(peer, forwarded))
