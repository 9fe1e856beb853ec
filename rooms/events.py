"""What happens to rooms and their members, told after commit."""

from dataclasses import dataclass

from accounts.kernel.events import Event

from .schemas import RoomOut


@dataclass(frozen=True, slots=True)
class RoomChanged(Event):
    """Title or topic."""

    room: RoomOut


@dataclass(frozen=True, slots=True)
class RoomDeleted(Event):
    room_id: int


@dataclass(frozen=True, slots=True)
class MemberRemoved(Event):
    """`access_epoch` is the room's counter that this loss of membership raised."""

    room_id: int
    user_id: int
    access_epoch: int


@dataclass(frozen=True, slots=True)
class MemberLeft(Event):
    room_id: int
    user_id: int
    access_epoch: int
