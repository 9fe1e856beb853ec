"""The socket of all rooms of its user (contract §7)."""

from typing import ClassVar

from typing_extensions import override

from accounts.kernel.errors import DomainError
from accounts.tokens import Claims
from realtime.close_codes import ENDS_A_ROOM, ENDS_AN_OPEN_SOCKET
from realtime.protocol.client_frames import AnyEventsFrame
from realtime.protocol.parsing import parse_events_frame
from realtime.runtime import runtime

from .consumer import SocketConsumer
from .events_handlers import EventsHandlers
from .events_handshake import Admitted, authorise, begin, greet


class AllRoomsConsumer(SocketConsumer[Admitted, EventsHandlers]):
    """A socket that follows its user's rooms. The loss of a room does not end it."""

    ends_socket: ClassVar[frozenset[type[DomainError]]] = ENDS_AN_OPEN_SOCKET - ENDS_A_ROOM
    has_many_rooms: ClassVar[bool] = True

    @override
    async def authorise(self, claims: Claims) -> Admitted:
        return await runtime.database.run(authorise, claims)

    @override
    def begin(self, admitted: Admitted) -> EventsHandlers:
        return begin(runtime, self._queue, admitted)

    @override
    async def greet(self, handlers: EventsHandlers) -> None:
        await greet(runtime, handlers)

    @override
    def parse(self, text: str | None) -> AnyEventsFrame:
        return parse_events_frame(text)

    @override
    def end_subscriptions(self, handlers: EventsHandlers) -> None:
        runtime.hub.close_events_socket(handlers.socket)
