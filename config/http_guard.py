"""HTTP requests to this process: bounded in number, answered in time, waited for when it stops.

Django gives each request a thread, and on SQLite a connection, for as long as it takes. All of that
is bounded here, for the whole application and on the loop: first the body arrives (under its own
limits), then the request counts, then its response leaves at the pace of its client.
"""

import asyncio
import logging
from collections import Counter, deque
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from django.conf import settings

from accounts.auth import client_address, network_of
from realtime.runtime import runtime
from realtime.servers.http_bodies import (
    TOO_LARGE,
    BodyReader,
    BodyRefused,
    discard_rest,
    max_body_size,
)
from realtime.servers.http_responses import HttpConnection, http_connection

from .http_refusals import Refusal, busy, end_refusal, of_body, send_refusal
from .http_responses import PacedResponse, UnreadConnections

log = logging.getLogger(__name__)

RESTARTING = "The server restarts: try again shortly"
ALWAYS = frozenset(
    f"/{name}{slash}" for name in ("healthz", "readyz", "metrics") for slash in ("", "/")
)
"""Paths that supervisors and Prometheus ask: answered whatever else waits."""
MAX_PROBES = 100
"""Requests to them without an answer: while the database hangs each of them keeps a thread, too."""


class UnansweredRequests:
    """Counts requests without an answer, in all and per address. Also holds their tasks.

    A request that was answered past its thread counts until the thread is free.
    """

    def __init__(self) -> None:
        self._networks: dict[asyncio.Future[None], str | None] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._networks)

    def check(self, network: str | None) -> None:
        """Raises Refusal when one more would be too many."""
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
        """Counts one out. Nothing happens the second time."""
        network = self._networks.pop(work, None)
        if network is not None:
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]


unanswered = UnansweredRequests()


class UserTurns:
    """Lets CHAT_REQUESTS_PER_USER requests with one access token be worked on at once.

    The others wait. The answer to a request may take ten times its size while it is made: a hundred
    of them at once would need more memory than all that may wait for clients.
    """

    def __init__(self) -> None:
        self._busy: dict[bytes, int] = {}
        self._waiting: dict[bytes, deque[asyncio.Future[None]]] = {}

    async def take(self, token: bytes) -> "Turn":
        """Waits for a turn. It ends when the answer begins: how fast a client reads is its own."""
        limit: int | None = settings.CHAT_REQUESTS_PER_USER
        if limit is None or self._busy.get(token, 0) < limit:
            self._busy[token] = self._busy.get(token, 0) + 1
            return Turn(self, token)
        coming: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(token, deque()).append(coming)
        try:
            await coming
        except asyncio.CancelledError:
            if coming.done() and not coming.cancelled():
                self.release(token)
            raise
        return Turn(self, token)

    def release(self, token: bytes) -> None:
        """Hands the turn to the request that waits longest."""
        waiting = self._waiting.get(token)
        while waiting:
            coming = waiting.popleft()
            if not coming.done():
                coming.set_result(None)
                return
        self._waiting.pop(token, None)
        self._busy[token] -= 1
        if not self._busy[token]:
            del self._busy[token]


class Turn:
    __slots__ = ("_token", "_turns")

    def __init__(self, turns: UserTurns, token: bytes) -> None:
        self._turns = turns
        self._token: bytes | None = token

    def end(self) -> None:
        """Nothing happens the second time."""
        token, self._token = self._token, None
        if token is not None:
            self._turns.release(token)


class HttpGuard:
    """An ASGI application around Django's.

    It starts the runtime with the first request: what REST stores is published to sockets, too.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._turns = UserTurns()
        self._unread = UnreadConnections()
        self._probes: set[asyncio.Future[None]] = set()
        """asyncio itself keeps no task alive."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        connection = http_connection(send)
        try:
            await self._serve(scope, receive, send, connection)
        except Refusal as refusal:
            connection.close_after_response()
            await send_refusal(scope, send, refusal)
            if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                await discard_rest(receive, handed_on_early=connection.refusal is not None)
            await end_refusal(send)

    async def _serve(self, scope: Any, receive: Any, send: Any, connection: HttpConnection) -> None:
        if runtime.lifecycle.stopped:
            raise busy(detail=RESTARTING)
        if connection.refusal is not None:
            raise of_body(connection.refusal)
        head = Head(scope)
        is_probe = scope["path"] in ALWAYS
        if head.length != 0:
            body = b"" if is_probe else await _read_body(scope["path"], head, receive)
            if body is None:
                return  # the client has gone
            receive = _with_body(body, receive)
            if runtime.lifecycle.stopped:
                raise busy(detail=RESTARTING)
        self._check_limits(head, is_probe=is_probe)
        runtime.start(asyncio.get_running_loop())
        response = PacedResponse(send, connection, self._unread, head.network)
        with runtime.lifecycle.working():
            work = asyncio.ensure_future(self._work(scope, receive, response, head.token))
            self._count(work, response, head, is_probe=is_probe)
            await _answer_in_time(scope, work, response)

    def _check_limits(self, head: "Head", *, is_probe: bool) -> None:
        """Raises Refusal when one more request or probe would be too many."""
        if not is_probe:
            unanswered.check(head.network)
        elif len(self._probes) >= MAX_PROBES:
            raise busy()

    def _count(
        self, work: asyncio.Future[None], response: PacedResponse, head: "Head", *, is_probe: bool
    ) -> None:
        """Counts a probe until its work ends, any other request until its response begins."""
        if is_probe:
            self._probes.add(work)
            work.add_done_callback(self._probes.discard)
        else:
            unanswered.add(work, head.network)
            work.add_done_callback(unanswered.discard)
            response.on_begin(partial(unanswered.discard, work))

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


async def _answer_in_time(scope: Any, work: asyncio.Future[None], response: PacedResponse) -> None:
    """Waits for the answer. Raises Refusal when there is none in time, or it may not be sent.

    A database that says nothing holds the thread of a request, but not its client. The thread
    cannot be stopped, and cancelling the request would wait for it: so the refusal is sent past it,
    and its late answer is dropped.
    """
    late = False
    try:
        await asyncio.wait([work], timeout=settings.CHAT_DATABASE_TIMEOUT)
        late = not response.begun and not work.done()
        if not late:
            # A client that reads slowly may take its time.
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
        log.warning("A request had no answer in time: %s", scope["path"])
        raise busy("CHAT_DATABASE_TIMEOUT")


async def _read_body(path: str, head: "Head", receive: Any) -> bytes | None:
    """Reads the whole body, or returns None when the client has gone. Raises Refusal."""
    limit = max_body_size(path)
    try:
        if head.length is not None and head.length > limit:
            raise TOO_LARGE
        return await BodyReader(receive, limit, head.network, runtime.unfinished_bodies).read()
    except BodyRefused as refused:
        raise of_body(refused) from None


def _with_body(body: bytes, receive: Any) -> Any:
    """Returns a `receive` that gives this body first, and nothing more of the server's."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_rest() -> Any:
        if pending:
            return pending.pop()
        while (event := await receive())["type"] == "http.request":
            pass
        return event

    return receive_rest


class Head:
    """What the guard needs of a request's headers, read in one pass.

    `length` of the body: 0 without one, None when that shows only while it arrives.
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


@lru_cache(maxsize=4096)
def _network_of(peer: str | None, forwarded: str) -> str | None:
    return network_of(client_address(peer, forwarded))
