"""Runs one WebSocket from accept to close: receive loop, error frames, closing.

The handshake is in `handshake.py`. What differs between sockets of one room and of all rooms:
`room_consumer.py` and `events_consumer.py`.
"""

import asyncio
import logging
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from channels.consumer import AsyncConsumer
from typing_extensions import override

from accounts.auth import Caller
from accounts.kernel.errors import DomainError
from accounts.kernel.incidents import report_incident
from accounts.tokens import Claims
from realtime.close_codes import CLOSE_CODES, ENDS_AN_OPEN_SOCKET, CloseCode
from realtime.delivery.hub import Socket
from realtime.delivery.send_queue import SendQueue
from realtime.delivery.subscriber import error_frame, text_event
from realtime.lifecycle import Restarting
from realtime.metrics import closed_by_client
from realtime.protocol.encoding import encode
from realtime.protocol.parsing import FrameError, ref_in, room_in
from realtime.protocol.server_frames import ErrorFrame
from realtime.runtime import runtime
from realtime.servers.detect import connection_of

from .credentials import Scope, chosen_subprotocol
from .frame_limits import FrameLimiter
from .handshake import Disconnected, Handshake
from .origin import check_origin
from .token_renewal import TokenRenewal

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 10.0


class Handlers(Protocol):
    """Handles the frames of one signed-in socket."""

    @property
    def socket(self) -> Socket:
        """What ends with the session."""

    @property
    def caller(self) -> Caller: ...

    async def handle(self, frame: Any) -> None:
        """Handles one frame. After a DomainError the frame had no effect."""


A = TypeVar("A")
"""What `authorise` returns."""
H = TypeVar("H", bound=Handlers)


class SocketConsumer(AsyncConsumer, Generic[A, H]):
    """A WebSocket of any kind.

    It has no channel of its own: the hub writes to it directly. An idle socket costs one task, for
    its next frame, and no queue or thread hop.
    """

    ends_socket: ClassVar[frozenset[type[DomainError]]] = ENDS_AN_OPEN_SOCKET
    """Errors after which an open socket closes."""
    has_many_rooms: ClassVar[bool] = False
    """Whether errors need the `room_id` of their frame."""

    async def authorise(self, claims: Claims) -> A:
        """Checks the session and what the caller may enter, on a database thread."""
        raise NotImplementedError

    def begin(self, admitted: A) -> H:
        """Subscribes the admitted socket, and returns what handles its frames."""
        raise NotImplementedError

    async def greet(self, handlers: H) -> None:
        """Sends `ready`, and what the client missed."""
        raise NotImplementedError

    def parse(self, text: str | None) -> Any:
        """Returns a client frame. Raises FrameError."""
        raise NotImplementedError

    def end_subscriptions(self, handlers: H) -> None:
        """Ends what `begin` began. Is safe to call twice."""
        raise NotImplementedError

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._prepare(scope, receive, send)
        runtime.start(asyncio.get_running_loop())
        runtime.state.counts.sockets += 1
        try:
            await self._run()
        except Disconnected:
            log.debug("A socket was disconnected")
        except Restarting:
            self._release()
            await self._close(CloseCode.RESTART)
        except DomainError as refusal:
            await self._refuse(refusal)
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            # The client receives an incident id, and the log has it with the traceback.
            await self._fail(error)
        finally:
            runtime.state.counts.sockets -= 1
            self._end()

    def _prepare(self, scope: Scope, receive: Any, send: Any) -> None:
        self._scope = scope
        connection = connection_of(receive, send)
        self._receive = connection.receive
        self._queue = SendQueue(connection, runtime.state)
        self._limiter = FrameLimiter()
        self._handshake = Handshake(runtime, scope, self._next_text, self.authorise)
        self._handlers: H | None = None
        self._renewal: TokenRenewal | None = None

    async def _run(self) -> None:
        await self._receive()  # websocket.connect
        self._queue.put(
            {"type": "websocket.accept", "subprotocol": chosen_subprotocol(self._scope)}
        )
        runtime.lifecycle.check_accepting()
        check_origin(self._scope)
        token, claims, first = await self._handshake.authenticate()
        # Without a local name, which would hold the rows of all rooms while the socket is open.
        self._handlers = handlers = self.begin(await self._handshake.admit(claims))
        self._handshake.end_pending()
        self._renewal = TokenRenewal(runtime, handlers.socket, token)
        await self.greet(handlers)
        if first is not None:
            await self._handle(handlers, first)
        while True:
            # Frames of a client that does not read wait until it reads.
            await self._queue.drained()
            await self._handle(handlers, await self._next_text())

    async def _next_text(self) -> str | None:
        """Returns the text of the next frame, None for a binary one. Raises Disconnected."""
        event = await self._receive()
        if self._queue.closing:
            raise Disconnected
        if event["type"] == "websocket.disconnect":
            closed_by_client(event.get("code"))
            raise Disconnected
        text: str | None = event.get("text")
        return text

    # Frames

    async def _handle(self, handlers: H, text: str | None) -> None:
        """Handles one frame and sends its error, if any. Raises what ends the socket."""
        if runtime.lifecycle.stopped:
            raise Restarting
        if self._queue.closing:
            raise Disconnected
        with runtime.lifecycle.working():
            error = await self._try(handlers, text)
        if error is not None:
            self._send_error(error)
        if self._queue.closing:
            raise Disconnected

    async def _try(self, handlers: H, text: str | None) -> ErrorFrame | None:
        ref: str | None = None
        try:
            self._limiter.consume_frame()
            frame = self.parse(text)
            ref = frame.ref
            await self._execute(handlers, frame)
        except FrameError as error:
            self._limiter.charge_invalid_frame(text)
            if error.code == "bad_frame":
                self._limiter.count_unreadable_frame()
            refused = ErrorFrame(
                code=error.code, message=error.message, ref=error.ref, errors=error.errors
            )
            return self._about_room(refused, text)
        except DomainError as refusal:
            if type(refusal) in self.ends_socket:
                raise
            # A frame above the rate was not parsed.
            return self._about_room(error_frame(refusal, ref or ref_in(text)), text)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - as in __call__
            return self._about_room(_incident(error, ref), text)
        return None

    def _about_room(self, error: ErrorFrame, text: str | None) -> ErrorFrame:
        if self.has_many_rooms:
            error.room_id = room_in(text)
        return error

    async def _execute(self, handlers: H, frame: Any) -> None:
        if frame.token is not None and self._renewal is not None:
            await self._renewal.renew(frame.token)
        await handlers.handle(frame)

    # Closing

    def _send_error(self, frame: ErrorFrame) -> None:
        self._queue.put(text_event(encode(frame)))

    async def _refuse(self, refusal: DomainError) -> None:
        """Sends the error, then closes with its code (contract §3)."""
        self._release()
        self._send_error(error_frame(refusal))
        await self._close(CLOSE_CODES[type(refusal)], refusal.code)

    async def _fail(self, error: Exception) -> None:
        self._release()
        incident = _incident(error, None)
        self._send_error(incident)
        await self._close(CloseCode.INTERNAL, incident.code)

    async def _close(self, code: int, reason: str = "") -> None:
        self._queue.close(code, reason)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._queue.drained()
        except TimeoutError:
            self._queue.cut()

    def _release(self) -> None:
        """Undoes what was done so far. Is safe to call twice."""
        if self._renewal is not None:
            self._renewal.end()
        if self._handlers is not None:
            self.end_subscriptions(self._handlers)
            runtime.last_seen.record(self._handlers.caller)
            self._handlers = None
        self._handshake.release()

    def _end(self) -> None:
        self._release()
        self._handshake.end_pending()
        # It refers to this object. Without the cycle a closed socket is freed at once, instead of
        # by a garbage collection, which stops the process.
        del self._handshake


def _incident(error: Exception, ref: str | None) -> ErrorFrame:
    return ErrorFrame(code="internal", message=report_incident(error, "on a socket"), ref=ref)


async def refuse(scope: Scope, receive: Any, send: Any, error: DomainError) -> None:
    """Accepts, sends the error and closes, for paths without a consumer."""
    await receive()
    queue = SendQueue(connection_of(receive, send), runtime.state)
    queue.put({"type": "websocket.accept", "subprotocol": chosen_subprotocol(scope)})
    queue.put(text_event(encode(error_frame(error))))
    queue.close(CLOSE_CODES[type(error)], error.code)
