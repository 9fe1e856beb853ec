"""Takes a new socket from accept to its first live frame.

In this order: token, limits, admission, membership, subscription, `ready`, missed messages. Origin
and host are checked before (`origin.py`).
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from django.conf import settings

from accounts.auth import Caller
from accounts.kernel.errors import (
    DomainError,
    NotAuthenticated,
    SessionEnded,
    TokenInvalid,
    invalid,
)
from accounts.kernel.metrics import count_refusal
from accounts.kernel.rate_limits import consume_locally, refund
from accounts.tokens import Claims, read_access
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.replay_limits import consume_replay
from realtime.delivery.send_queue import SendQueue
from realtime.delivery.subscriber import Subscriber, error_frame, text_event
from realtime.errors import AuthTimeout, TooManyConnections
from realtime.protocol import Ready, UserOut, encode, token_in
from realtime.runtime import Runtime
from rooms.models import Room
from rooms.schemas import RoomOut

from .credentials import HOW_TO_SIGN_IN, Scope, network, offered_token, query
from .handlers import FrameHandlers

FIRST_FRAME_TIMEOUT = 10.0
TOO_MANY_FROM_ADDRESS = "Too many open sockets from this address"
TOO_MANY_PENDING = "Too many sockets from this address wait to sign in"
VERSION = re.compile(r"[0-9]{1,30}")


class Disconnected(Exception):
    """Raised when the peer or this process has closed the socket."""


class Handshake:
    """Runs the handshake of one socket. `release` and `end_pending` undo its counts."""

    __slots__ = ("_authorise", "_counted", "_next_text", "_pending", "_queue", "_runtime", "_scope")

    def __init__(
        self,
        runtime: Runtime,
        scope: Scope,
        queue: SendQueue,
        next_text: Callable[[], Awaitable[str | None]],
        authorise: Callable[[Claims], tuple[Caller, Room]],
    ) -> None:
        self._runtime = runtime
        self._scope = scope
        self._queue = queue
        self._next_text = next_text
        self._authorise = authorise
        self._counted: tuple[str, ...] = ()
        self._pending = ""

    # Token

    async def authenticate(self) -> tuple[str, Claims, str | None]:
        """Returns the token, its claims, and the first frame if that had the token.

        Raises AuthTimeout, NotAuthenticated, TokenInvalid, TokenExpired, TooManyConnections.
        """
        token, first = offered_token(self._scope), None
        if token is None:
            await self._begin_pending()
            token, first = await self._first_frame()
        return token, await self._read_token(token), first

    async def _first_frame(self) -> tuple[str, str]:
        """Returns the first frame's token, and the frame for use after the handshake."""
        try:
            async with asyncio.timeout(FIRST_FRAME_TIMEOUT):
                text = await self._next_text()
        except TimeoutError:
            raise AuthTimeout from None
        token = token_in(text)
        if token is None or text is None:
            raise NotAuthenticated(HOW_TO_SIGN_IN)
        return token, text

    async def _read_token(self, token: str) -> Claims:
        """Checks signature, type and expiry on the loop.

        So a bad token uses neither the admission queue nor a database thread (decision 33).
        """
        try:
            claims = read_access(token)
        except DomainError:
            await self._begin_pending()
            await self._runtime.refusals.wait_for_refusal()
            raise
        if not self._pending:
            # Counted until it is admitted, but not refused: after a restart many reconnect at once.
            self._pending = f"address:{network(self._scope)}"
            self._runtime.connections.acquire(self._pending, None)
        return claims

    async def _begin_pending(self) -> None:
        """Counts the socket as not signed in, until it is admitted or closed.

        Raises TooManyConnections.
        """
        if self._pending:
            return
        name, most = f"address:{network(self._scope)}", settings.CHAT_PENDING_PER_ADDRESS
        try:
            self._runtime.connections.acquire(name, most, TOO_MANY_PENDING)
            self._pending = name
            await self._runtime.connections.check(name, most, TOO_MANY_PENDING)
        except TooManyConnections:
            count_refusal("CHAT_PENDING_PER_ADDRESS")
            await self._runtime.refusals.wait_for_refusal()
            raise

    def end_pending(self) -> None:
        """Ends the pending count. A refused socket counts until it is closed."""
        if self._pending:
            self._runtime.connections.release(self._pending)
        self._pending = ""

    # Admission and subscription

    async def subscribe(self, claims: Claims) -> FrameHandlers:
        """Admits the socket within limits, authorises it, subscribes it to its room.

        Raises the DomainErrors of a refusal, Restarting.
        """
        await self._admit(claims)
        caller, row = await self._authorise_on_thread(claims)
        if self._since() is not None:
            consume_replay(caller.user_id)
        # Meanwhile all sockets may have been closed for a restart, or the session may have ended:
        # this socket would stay open.
        self._runtime.lifecycle.check_accepting()
        self._runtime.revocation.check_session(caller.session_id)
        subscriber = Subscriber(self._queue, caller, row.pk, row.version, row.access_epoch)
        room = self._runtime.hub.subscribe(subscriber, row)
        self.end_pending()
        return FrameHandlers(self._runtime, subscriber, room, row)

    async def _admit(self, claims: Claims) -> None:
        self._runtime.revocation.check_session(claims.session_id)
        consume_locally("CHAT_CONNECT_RATE", claims.user_id)
        await self._count(f"user:{claims.user_id}", "CHAT_SOCKETS_PER_USER")
        await self._count(
            f"from:{network(self._scope)}", "CHAT_SOCKETS_PER_ADDRESS", TOO_MANY_FROM_ADDRESS
        )
        await self._runtime.admission.wait_for_turn()
        self._runtime.lifecycle.check_accepting()

    async def _authorise_on_thread(self, claims: Claims) -> tuple[Caller, Room]:
        try:
            return await self._runtime.database.run(self._authorise, claims)
        except (SessionEnded, TokenInvalid):
            # A token of an ended session must not use up the rate of its user.
            refund("CHAT_CONNECT_RATE", claims.user_id)
            raise

    async def _count(self, name: str, setting: str, refusal: str | None = None) -> None:
        """Counts the socket under a name within a setting. Raises TooManyConnections."""
        most: int | None = getattr(settings, setting)
        if most is None:
            return
        try:
            self._runtime.connections.acquire(name, most, refusal)
            # Before the await: `release` must undo it, however the socket ends.
            self._counted += (name,)
            await self._runtime.connections.check(name, most, refusal)
        except TooManyConnections:
            count_refusal(setting)
            raise

    # Greeting

    async def greet(self, handlers: FrameHandlers) -> None:
        """Sends `ready`, the first frame, and publishes `join`. Raises Disconnected."""
        room, subscriber, row = handlers.room, handlers.subscriber, handlers.row
        arrival = await self._runtime.presence.arrive(room, subscriber)
        if self._queue.closing:
            raise Disconnected
        caller = subscriber.caller
        ready = Ready(
            room=RoomOut.model_validate(row),
            user=UserOut(id=caller.user_id, username=caller.username),
            version=row.version,
            online=arrival.names,
            online_count=arrival.online_total,
        )
        subscriber.send(encode(ready))
        subscriber.ready = subscriber.announced = True
        if arrival.first:
            self._runtime.presence.publish_join(room, subscriber)
        self._runtime.last_seen.record(caller)

    async def catch_up(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Sends what the client missed, then the frames that were buffered meanwhile."""
        since = self._since()
        if since is not None:
            await self._runtime.recovery.replay(room, subscriber, since)
            return
        if room.version > subscriber.version:
            await self._runtime.recovery.catch_up(room, subscriber)
        else:
            room.finish_catch_up(subscriber, subscriber.version)
        if query(self._scope, "since") is not None:
            refusal = error_frame(invalid("since", "must be a version, such as 41"))
            self._queue.put(text_event(encode(refusal)))

    def _since(self) -> int | None:
        """Returns the version in `since`, None when it is missing or invalid."""
        since = query(self._scope, "since")
        return int(since) if since is not None and VERSION.fullmatch(since) else None

    def release(self) -> None:
        """Releases the counts of a signed-in socket. Is safe to call twice."""
        counted, self._counted = self._counted, ()
        for name in counted:
            self._runtime.connections.release(name)
