"""A socket of one room. How each kind finds its room: `realtime/consumers.py`."""

from typing import Any

from typing_extensions import override

from accounts.auth import Caller, sign_in_with
from accounts.tokens import Claims
from realtime.protocol import AnyClientFrame, parse
from realtime.runtime import runtime
from rooms.models import Room

from .consumer import SocketConsumer
from .credentials import Scope
from .handlers import FrameHandlers
from .room_handshake import RoomHandshake


class RoomConsumer(SocketConsumer[tuple[Caller, Room], FrameHandlers]):
    """A socket of one room."""

    def enter(self, caller: Caller, name: str) -> Room:
        """Returns the room of the URL. Raises the DomainError that refuses the caller."""
        raise NotImplementedError

    @override
    def _prepare(self, scope: Scope, receive: Any, send: Any) -> None:
        super()._prepare(scope, receive, send)
        self._room_handshake = RoomHandshake(runtime, scope, self._queue)

    @override
    def authorise(self, claims: Claims) -> tuple[Caller, Room]:
        caller = sign_in_with(claims, touch=False)
        name: str = self._scope["url_route"]["kwargs"]["name"]
        return caller, self.enter(caller, name)

    @override
    def begin(self, admitted: tuple[Caller, Room]) -> FrameHandlers:
        return self._room_handshake.subscribe(*admitted)

    @override
    async def greet(self, handlers: FrameHandlers) -> None:
        await self._room_handshake.greet(handlers)
        await self._room_handshake.catch_up(handlers)

    @override
    def parse(self, text: str | None) -> AnyClientFrame:
        return parse(text)

    @override
    def end_subscriptions(self, handlers: FrameHandlers) -> None:
        runtime.hub.unsubscribe(handlers.subscriber)
