"""Limits number and duration of HTTP requests, and waits for them at shutdown.

Django gives each request a thread, and on SQLite a connection, until it is answered. The guard
limits both for the whole application, on the event loop. First the body arrives, under its own
limits; then the request counts; then its response is sent as fast as the client reads.
"""

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from typing import Any

from django.conf import settings

from realtime.runtime import runtime
from realtime.servers.http_bodies import discard_rest
from realtime.servers.http_responses import HttpConnection, http_connection
from realtime.servers.uploads import is_upload, max_discarded

from .concurrent_requests import UserTurns, unanswered
from .http_refusals import (
    Refusal,
    busy,
    end_refusal,
    refusal_of_body,
    restarting,
    send_refusal,
)
from .http_responses import PacedResponse, UnreadConnections
from .request_bodies import close_after, read_body, received_upload, with_body, with_file
from .request_head import RequestHead

log = logging.getLogger(__name__)

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
            raise restarting()
        if connection.refusal is not None:
            raise refusal_of_body(connection.refusal)
        head = RequestHead(scope)
        is_probe = scope["path"] in PROBE_PATHS
        if head.length != 0:
            body = b"" if is_probe else await read_body(head, receive)
            if body is None:
                return  # the client has disconnected
            receive = with_body(body, receive)
            if runtime.lifecycle.stopped:
                raise restarting()
        self._check_limits(head, is_probe=is_probe)
        runtime.start(asyncio.get_running_loop())
        response = PacedResponse(send, connection, self._unread, head.network)
        with runtime.lifecycle.working():
            work = asyncio.ensure_future(self._work(scope, receive, response, head.signed_user()))
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
            upload = await received_upload(scope, head, receive, connection, upload)
            if upload is None:
                return  # the client has disconnected
            self._check_limits(head, is_probe=False)
            runtime.start(asyncio.get_running_loop())
            response = PacedResponse(send, connection, self._unread, head.network)
            scope, receive = with_file(scope, upload), with_body(b"", receive)
            with runtime.lifecycle.working():
                work = asyncio.ensure_future(
                    self._store(scope, receive, response, head.signed_user())
                )
                self._count(work, response, head, is_probe=False)
                await _answer_in_time(scope, work, response, UPLOAD_TIMEOUT)
        finally:
            close_after(work, upload)

    def _check_limits(self, head: RequestHead, *, is_probe: bool) -> None:
        """Raises Refusal when the next request or probe would exceed a limit."""
        if not is_probe:
            unanswered.check(head.network)
        elif len(self._probes) >= MAX_PROBES:
            raise busy()

    def _count(
        self,
        work: asyncio.Future[None],
        response: PacedResponse,
        head: RequestHead,
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
        self, scope: Any, receive: Any, response: PacedResponse, user_id: int | None
    ) -> None:
        async with self._storing:
            await self._work(scope, receive, response, user_id)

    async def _work(
        self, scope: Any, receive: Any, response: PacedResponse, user_id: int | None
    ) -> None:
        if user_id is None:
            await self._application(scope, receive, response.send)
            return
        turn = await self._turns.take(user_id)
        try:
            if not response.is_over:
                response.on_begin(turn.end)
                await self._application(scope, receive, response.send)
        finally:
            turn.end()


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
        log.warning("A request timed out: %r", scope["path"])
        raise busy("CHAT_DATABASE_TIMEOUT")
