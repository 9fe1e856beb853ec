"""One socket that follows many rooms (contract §7).

It has one send queue, and a subscriber in each room. So a followed room costs a few hundred bytes,
and a frame about a message is the same text and the same write as for the sockets of that room.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from typing_extensions import override

from accounts.auth import Caller
from accounts.kernel.errors import DomainError
from realtime.close_codes import CLOSE_CODES, CloseCode
from realtime.errors import Removed
from realtime.protocol.encoding import encode, with_room_id
from realtime.protocol.server_frames import RemovalReason, RoomRemoved
from realtime.servers.interface import Event
from rooms.errors import NoSuchRoom, NotAMember
from rooms.followed_rooms import FollowedRoom, Memberships

from .local_room import LocalRoom
from .send_queue import SendQueue
from .subscriber import Subscriber, end_slow_queue, error_frame, text_event


class EventsSubscriber(Subscriber):
    """The subscription of an events socket to one room; the socket outlives it."""

    on_events_socket: ClassVar[bool] = True
    REASONS: ClassVar[dict[type[DomainError], RemovalReason]] = {
        Removed: "removed",
        NotAMember: "left",
        NoSuchRoom: "deleted",
    }

    __slots__ = ("room", "socket")

    def __init__(self, socket: "EventsSocket", row: FollowedRoom) -> None:
        super().__init__(socket.queue, socket.caller, row.pk, row.version, row.access_epoch)
        self.socket = socket
        self.room: LocalRoom | None = None
        self.is_present = False

    @override
    def watch_writer(self, on_change: Callable[[], None]) -> None:
        """Does nothing: the events socket watches its one writer for all rooms."""

    @override
    def send(self, text: str) -> None:
        """Sends a frame about the room."""
        super().send(with_room_id(text, self.room_id))

    @override
    def end(self, error: DomainError) -> None:
        self.socket.end_room(self.room_id, self.REASONS[type(error)])

    @override
    def end_after_leave(self) -> None:
        self.socket.end_room(self.room_id, "left")


UNKNOWN_COUNTER = -1
"""No user's counter: the next check reads the memberships."""


class EventsSocket:
    """A signed-in socket of `/ws/events/`: its rooms and its one send queue."""

    __slots__ = ("caller", "counter", "followed", "muted", "others", "queue", "ready")

    def __init__(self, queue: SendQueue, caller: Caller, memberships: Memberships) -> None:
        self.queue = queue
        self.caller = caller
        self.ready = False
        self.followed: dict[int, EventsSubscriber] = {}
        self.others: set[int] = set(memberships.others)
        """Rooms of the user that the socket does not follow."""
        self.muted: set[int] = set(memberships.muted)
        self.counter = memberships.counter
        """The user's membership counter as of which these are the user's rooms, UNKNOWN_COUNTER
        after a room ended."""
        queue.belong_to(caller.user_id)
        queue.on_writer_change = self._reroute

    def _reroute(self) -> None:
        for subscriber in self.followed.values():
            if subscriber.room is not None:
                subscriber.room.reroute(subscriber)

    def subscriptions(self) -> Sequence[Subscriber]:
        return list(self.followed.values())

    def renew(self, caller: Caller) -> None:
        self.caller = caller
        for subscriber in self.followed.values():
            subscriber.caller = caller

    def knows(self, room_id: int) -> bool:
        """Whether the client knows the room, from `ready`, `room_added` or `followed`."""
        return room_id in self.followed or room_id in self.others

    def write(self, event: Event) -> None:
        """Sends a frame outside the order of any room. Dropped before `ready`."""
        if not self.ready or self.queue.closing or self.queue.disconnected:
            return
        if not self.queue.put(event):
            end_slow_queue(self.queue, self.caller.user_id)

    def send(self, text: str) -> None:
        self.write(text_event(text))

    def end_room(self, room_id: int, reason: RemovalReason) -> None:
        """Tells the client that a room ended, after its last frame.

        Asks for another check: the user may be a member again, and an earlier check, which still
        knew this room, counted that membership as announced.
        """
        self.counter = UNKNOWN_COUNTER
        self.followed.pop(room_id, None)
        self.others.discard(room_id)
        self.muted.discard(room_id)
        self.send(encode(RoomRemoved(room_id=room_id, reason=reason)))

    def end(self, error: DomainError) -> None:
        """Sends the error, then closes with its code (contract §3)."""
        self.queue.put(text_event(encode(error_frame(error))))
        self.queue.close(CLOSE_CODES[type(error)], error.code)

    def end_after_leave(self) -> None:
        self.close(CloseCode.NORMAL)

    def close(self, code: int) -> None:
        self.queue.close(code)
