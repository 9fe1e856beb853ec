"""The life of a socket, from accept to close. How each kind finds its room: `consumers.py`."""

import asyncio
import logging
import re
import time
from typing import Any

from channels.consumer import AsyncConsumer
from django.conf import settings

from accounts.auth import Caller, sign_in_with
from accounts.kernel.errors import (
    DomainError,
    NotAuthenticated,
    SessionEnded,
    TokenExpired,
    TokenInvalid,
    invalid,
)
from accounts.kernel.incidents import report_incident
from accounts.kernel.metrics import count_refusal
from accounts.kernel.rate_limits import consume_locally, refund
from accounts.tokens import Claims, read_access
from realtime.close_codes import (
    CLOSE_CODES,
    ENDS_AN_OPEN_SOCKET,
    INTERNAL,
    RESTART,
    AuthTimeout,
    TooManyConnections,
)
from realtime.db_threads import on_database
from realtime.delivery.hub import hub
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.recovery import catch_up, consume_replay, replay
from realtime.delivery.send_queue import SendQueue
from realtime.delivery.subscriber import Subscriber, error_frame, text_event
from realtime.lifecycle import Restarting, shutdown
from realtime.metrics import closed_by_client, counts
from realtime.protocol import (
    AnyClientFrame,
    ErrorFrame,
    FrameError,
    Ready,
    UserOut,
    encode,
    parse,
    ref_in,
    token_in,
)
from realtime.runtime import last_seen, presence, run_on, tally
from realtime.servers.detect import connection_of
from rooms.models import Room
from rooms.schemas import RoomOut

from .admission import door, refusal_queue
from .credentials import (
    HOW_TO_SIGN_IN,
    Scope,
    check_origin,
    chosen_subprotocol,
    network,
    offered_token,
    query,
)
from .frame_limits import FrameLimiter
from .handlers import FrameHandlers

log = logging.getLogger(__name__)

FIRST_FRAME_TIMEOUT = 10.0
CLOSE_TIMEOUT = 10.0
TOO_MANY_FROM_ADDRESS = "Too many open sockets from this address"
TOO_MANY_PENDING = "Too many sockets from this address wait to sign in"
VERSION = re.compile(r"[0-9]{1,30}")


class Disconnected(Exception):
    """The peer has left, or the socket was closed by us: there is nothing more to do."""


class RoomConsumer(AsyncConsumer):
    """A socket of one room.

    It has no channel of its own: the hub writes to it directly, so an idle one costs no task, queue
    or thread hop beside the one that waits for its next frame.
    """

    def enter(self, caller: Caller, name: str) -> Room:
        """The room that the URL names. Raises the DomainError of whoever may not enter."""
        raise NotImplementedError

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._scope: Scope = scope
        connection = connection_of(receive, send)
        self._receive = connection.receive
        self._queue = SendQueue(connection)
        self._limiter = FrameLimiter()
        self._handlers: FrameHandlers | None = None
        self._token = ""
        self._counted: tuple[str, ...] = ()
        self._pending = ""
        self._expiry: asyncio.TimerHandle | None = None
        run_on(asyncio.get_running_loop())
        counts.sockets += 1
        try:
            await self._run()
        except Disconnected:
            log.debug("A socket is gone")
        except Restarting:
            self._release()
            await self._close(RESTART)
        except DomainError as refusal:
            await self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            # Nobody gets a traceback; the id is on the wire and in the log.
            await self._break_down(error)
        finally:
            counts.sockets -= 1
            self._release()
            self._end_pending()

    async def _run(self) -> None:
        await self._receive()  # websocket.connect
        self._queue.put(
            {"type": "websocket.accept", "subprotocol": chosen_subprotocol(self._scope)}
        )
        shutdown.turn_back_newcomers()
        check_origin(self._scope)
        token, first = offered_token(self._scope), None
        if token is None:
            await self._begin_pending()
            token, first = await self._first_frame()
        handlers = await self._admit_socket(token, await self._read_token(token))
        if first is not None:
            await self._handle(handlers, first)
        while True:
            # One who does not read is not listened to either: its frames wait with it.
            await self._queue.drained()
            await self._handle(handlers, await self._next_text())

    async def _next_text(self) -> str | None:
        """The text of the next frame, None for a binary one. Raises Gone."""
        event = await self._receive()
        if self._queue.closing:
            raise Disconnected
        if event["type"] == "websocket.disconnect":
            closed_by_client(event.get("code"))
            raise Disconnected
        text: str | None = event.get("text")
        return text

    # Letting in

    async def _first_frame(self) -> tuple[str, str]:
        """The token in the first frame, and the frame, which is handled once it is let in.

        Raises AuthTimeout, NotAuthenticated.
        """
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
        """Checks signature, type and expiry here: a bad token takes no place in the queue and no
        database thread (decision 33). Raises TokenInvalid, TokenExpired, TooManyConnections.
        """
        try:
            claims = read_access(token)
        except DomainError:
            await self._begin_pending()
            await refusal_queue.wait()
            raise
        if not self._pending:
            # Counted until it is let in, but not refused: a crowd that returns comes at once.
            self._pending = f"address:{network(self._scope)}"
            tally.take(self._pending, None)
        return claims

    async def _begin_pending(self) -> None:
        """Counts the socket as not signed in, until it is let in or closed.

        Raises TooManyConnections.
        """
        if self._pending:
            return
        peer, most = f"address:{network(self._scope)}", settings.CHAT_PENDING_PER_ADDRESS
        try:
            tally.take(peer, most, TOO_MANY_PENDING)
            self._pending = peer
            await tally.check(peer, most, TOO_MANY_PENDING)
        except TooManyConnections:
            count_refusal("CHAT_PENDING_PER_ADDRESS")
            await refusal_queue.wait()
            raise

    def _end_pending(self) -> None:
        if self._pending:
            tally.give_back(self._pending)
        self._pending = ""

    async def _admit_socket(self, token: str, claims: Claims) -> FrameHandlers:
        hub.check_session(claims.session_id)
        consume_locally("CHAT_CONNECT_RATE", claims.user_id)
        await self._count_socket(claims.user_id)
        await door.pass_through()
        shutdown.turn_back_newcomers()
        try:
            caller, room = await on_database(self._admit, claims)
        except (SessionEnded, TokenInvalid):
            # Or a token that was taken away from a thief would still use up its owner's rate.
            refund("CHAT_CONNECT_RATE", claims.user_id)
            raise
        self._token = token
        since = self._since()
        if since is not None:
            consume_replay(caller.user_id)
        # Meanwhile the sockets of all rooms may have been closed: nobody would close this one.
        shutdown.turn_back_newcomers()
        subscriber = Subscriber(self._queue, caller, room.pk, room.version, room.access_epoch)
        here = hub.subscribe(subscriber, room)
        self._end_pending()
        self._handlers = handlers = FrameHandlers(hub, subscriber, here, room)
        self._watch_expiry(caller)
        await self._greet(here, subscriber, room)
        await self._catch_up(here, subscriber, since)
        return handlers

    async def _greet(self, here: LocalRoom, subscriber: Subscriber, room: Room) -> None:
        """Says `ready`, the first frame of all, and tells the room who has come. Raises Gone."""
        arrival = await presence.arrives(here, subscriber)
        if self._queue.closing:
            raise Disconnected
        caller = subscriber.caller
        ready = Ready(
            room=RoomOut.model_validate(room),
            user=UserOut(id=caller.user_id, username=caller.username),
            version=room.version,
            online=arrival.names,
            online_count=arrival.people,
        )
        subscriber.say(encode(ready))
        subscriber.ready = subscriber.announced = True
        if arrival.first:
            presence.announce(here, subscriber)
        last_seen.note(caller)

    async def _catch_up(self, here: LocalRoom, subscriber: Subscriber, since: int | None) -> None:
        """Tells what it missed, and lets go of what was held back meanwhile."""
        if since is not None:
            await replay(here, subscriber, since)
            return
        if here.version > subscriber.version:
            await catch_up(here, subscriber)
        else:
            here.finish_catch_up(subscriber, subscriber.version)
        if query(self._scope, "since") is not None:
            self._answer(error_frame(invalid("since", "must be a version, such as 41")))

    def _since(self) -> int | None:
        """None without one, and for one that is no version."""
        since = query(self._scope, "since")
        return int(since) if since is not None and VERSION.fullmatch(since) else None

    async def _count_socket(self, user_id: int) -> None:
        """Raises TooManyConnections."""
        await self._count(f"user:{user_id}", settings.CHAT_SOCKETS_PER_USER)
        await self._count(
            f"from:{network(self._scope)}", settings.CHAT_SOCKETS_PER_ADDRESS, TOO_MANY_FROM_ADDRESS
        )

    async def _count(self, name: str, most: int | None, refusal: str | None = None) -> None:
        if most is None:
            return
        tally.take(name, most, refusal)
        # Before anything is waited for: whatever ends this socket, it is given back.
        self._counted += (name,)
        await tally.check(name, most, refusal)

    def _admit(self, claims: Claims) -> tuple[Caller, Room]:
        """On a database thread: who is it, and may they enter."""
        caller = sign_in_with(claims, touch=False)
        name: str = self._scope["url_route"]["kwargs"]["name"]
        return caller, self.enter(caller, name)

    # Frames

    async def _handle(self, handlers: FrameHandlers, text: str | None) -> None:
        """Takes one frame and answers what is wrong with it. Raises what ends the socket."""
        if shutdown.frozen:
            raise Restarting
        if self._queue.closing:
            raise Disconnected
        with shutdown.working():
            wrong = await self._try(handlers, text)
        if wrong is not None:
            self._answer(wrong)
        if self._queue.closing:
            raise Disconnected

    async def _try(self, handlers: FrameHandlers, text: str | None) -> ErrorFrame | None:
        ref: str | None = None
        try:
            self._limiter.consume_frame()
            frame = parse(text)
            ref = frame.ref
            await self._execute(handlers, frame)
        except FrameError as error:
            self._limiter.charge_invalid_frame(text)
            if error.code == "bad_frame":
                self._limiter.count_unreadable_frame()
            return ErrorFrame(
                code=error.code, message=error.message, ref=error.ref, errors=error.errors
            )
        except DomainError as refusal:
            if type(refusal) in ENDS_AN_OPEN_SOCKET:
                raise
            # A frame too many was not parsed.
            return error_frame(refusal, ref or ref_in(text))
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - as in __call__
            return _incident(error, ref)
        return None

    async def _execute(self, handlers: FrameHandlers, frame: AnyClientFrame) -> None:
        if frame.token is not None and frame.token != self._token:
            await self._renew(handlers.subscriber, frame.token)
        await handlers.take(frame)

    async def _renew(self, subscriber: Subscriber, token: str) -> None:
        """A good token of the same user goes on for longer; any other one ends the socket."""
        caller = await on_database(sign_in_with, read_access(token))
        if self._queue.closing:
            raise Disconnected
        if caller.user_id != subscriber.caller.user_id:
            raise TokenInvalid
        if caller.expires_at > subscriber.caller.expires_at:
            hub.renew(subscriber, caller)
            self._token = token
            self._watch_expiry(caller)

    def _watch_expiry(self, caller: Caller) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        left = max(0.0, caller.expires_at - time.time())
        self._expiry = asyncio.get_running_loop().call_later(left, self._expire)

    def _expire(self) -> None:
        if self._handlers is not None:
            hub.disconnect([self._handlers.subscriber], TokenExpired())

    # Closing

    def _answer(self, frame: ErrorFrame) -> None:
        self._queue.put(text_event(encode(frame)))

    async def _refuse(self, refusal: DomainError) -> None:
        """Says why and closes. A refusal is always: accept, error frame, close with the code."""
        self._release()
        self._answer(error_frame(refusal))
        await self._close(CLOSE_CODES[type(refusal)], refusal.code)

    async def _break_down(self, error: Exception) -> None:
        self._release()
        incident = _incident(error, None)
        self._answer(incident)
        await self._close(INTERNAL, incident.code)

    async def _close(self, code: int, reason: str = "") -> None:
        self._queue.close(code, reason)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._queue.drained()
        except TimeoutError:
            self._queue.cut()

    def _release(self) -> None:
        """Undoes whatever was done so far; safe to call twice."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._handlers is not None:
            hub.unsubscribe(self._handlers.subscriber)
            last_seen.note(self._handlers.subscriber.caller)
            self._handlers = None
        counted, self._counted = self._counted, ()
        for name in counted:
            tally.give_back(name)


def _incident(error: Exception, ref: str | None) -> ErrorFrame:
    return ErrorFrame(code="internal", message=report_incident(error, "on a socket"), ref=ref)


async def refuse(scope: Scope, receive: Any, send: Any, error: DomainError) -> None:
    """Accepts, says why, closes: for addresses that no consumer serves."""
    await receive()
    outbox = SendQueue(connection_of(receive, send))
    outbox.put({"type": "websocket.accept", "subprotocol": chosen_subprotocol(scope)})
    outbox.put(text_event(encode(error_frame(error))))
    outbox.close(CLOSE_CODES[type(error)], error.code)
