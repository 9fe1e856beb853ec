"""Defines the events of rooms and members, published after the commit."""

from dataclasses import dataclass

from accounts.kernel.events import Event

from .schemas import RoomOut


@dataclass(frozen=True, slots=True)
class RoomChanged(Event):
    """The title or topic changed."""

    room: RoomOut


@dataclass(frozen=True, slots=True)
class RoomDeleted(Event):
    room_id: int


@dataclass(frozen=True, slots=True)
class MemberRemoved(Event):
    """A member was removed, which raised the room's `access_epoch`."""

    room_id: int
    user_id: int
    access_epoch: int


@dataclass(frozen=True, slots=True)
class MemberLeft(Event):
    room_id: int
    user_id: int
    access_epoch: int


@dataclass(frozen=True, slots=True)
class MembershipsChanged(Event):
    """Memberships of these users began, ended or were muted; counters were raised."""

    user_ids: frozenset[int]
