"""A socket of one room. How each kind finds its room: `realtime/consumers.py`."""

from collections.abc import Callable, Collection
from typing import Any

from typing_extensions import override

from accounts.auth import Caller
from accounts.tokens import Claims
from realtime.delivery.authorisation import RoomSearch
from realtime.protocol.client_frames import AnyClientFrame
from realtime.protocol.parsing import parse
from realtime.runtime import runtime
from rooms.models import Room, RoomKind
from rooms.selectors import Entry

from .consumer import SocketConsumer
from .credentials import Scope
from .handlers import FrameHandlers
from .room_handshake import RoomHandshake


class RoomConsumer(SocketConsumer[tuple[Caller, Room], FrameHandlers]):
    """A socket of one room."""

    kind: RoomKind
    known_rooms: Callable[[Collection[Entry]], dict[Entry, Room]]
    """Finds the rooms of this kind that users may enter without a write: see `authorisation`."""

    def enter(self, caller: Caller, name: str) -> Room:
        """Returns the room of the URL. Raises the DomainError that refuses the caller."""
        raise NotImplementedError

    @override
    def _prepare(self, scope: Scope, receive: Any, send: Any) -> None:
        super()._prepare(scope, receive, send)
        self._room_handshake = RoomHandshake(runtime, scope, self._queue)

    @override
    async def authorise(self, claims: Claims) -> tuple[Caller, Room]:
        name: str = self._scope["url_route"]["kwargs"]["name"]
        search = RoomSearch(name, self.known_rooms, self._accepts, self.enter)
        return await runtime.authorisation.authorise(claims, search)

    def _accepts(self, room: Room) -> bool:
        return room.kind == self.kind

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
