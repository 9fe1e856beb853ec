"""Defines the messages between processes: one dataclass each.

On the wire a message is a list: its tag, then its fields in order. A process ignores an
unknown tag, so that two versions can run side by side during a rolling restart.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

WireMessage = list[Any]
"""`[tag, *fields]`: plain values only."""


@dataclass(frozen=True, slots=True)
class DeliverFrame:
    """A versioned frame, with the room's access epoch at that version."""

    room_id: int
    version: int
    access_epoch: int
    text: str


@dataclass(frozen=True, slots=True)
class SendToUsers:
    """An unversioned frame to some users' sockets in a room."""

    room_id: int
    user_ids: list[int]
    text: str


@dataclass(frozen=True, slots=True)
class SendToRoom:
    """An unversioned frame to all sockets of a room except one user's."""

    room_id: int
    text: str
    except_user_id: int | None
    droppable: bool


@dataclass(frozen=True, slots=True)
class SendReceipt:
    """A user's read or delivered marker. Users who share none do not get it.

    If it is not shared, and in rooms above CHAT_PRESENCE_MAX_USERS, only the user's own sockets get
    it.
    """

    room_id: int
    user_id: int
    text: str
    shared: bool

    @property
    def is_read(self) -> bool:
        """Whether it is a read marker: an earlier version knows no field for it."""
        return self.text.startswith('{"type":"read"')


@dataclass(frozen=True, slots=True)
class DisconnectMember:
    """A user lost their membership, which raised the room's access epoch to this one.

    `removed`: true after a removal (4403), false after a leave (1000).
    """

    room_id: int
    user_id: int
    access_epoch: int
    removed: bool


@dataclass(frozen=True, slots=True)
class CloseRoom:
    """A room was deleted."""

    room_id: int


@dataclass(frozen=True, slots=True)
class CheckMemberships:
    """Memberships of a user changed: see `delivery/membership_watch.py`."""

    user_id: int


@dataclass(frozen=True, slots=True)
class SendToEventsSockets:
    """A frame about a user, once to each events socket that follows one of the rooms.

    Not to sockets of the user, unless `is_own`; then to all of them. It goes to every process.
    """

    user_id: int
    room_ids: list[int]
    text: str
    is_own: bool


@dataclass(frozen=True, slots=True)
class EndSessions:
    """Sessions ended. It goes to every process."""

    session_ids: list[int]


@dataclass(frozen=True, slots=True)
class SetReceiptsSharing:
    """A user shares receipts from now on, or no longer. Goes to every process."""

    user_id: int
    shares: bool


RoomMessage = DeliverFrame | SendToUsers | SendToRoom | SendReceipt | DisconnectMember | CloseRoom
UserMessage = CheckMemberships | SendToEventsSockets | EndSessions | SetReceiptsSharing
ClusterMessage = RoomMessage | UserMessage

TAGS: dict[type[ClusterMessage], str] = {
    DeliverFrame: "deliver",
    SendToUsers: "users",
    SendToRoom: "room",
    SendReceipt: "read",
    DisconnectMember: "disconnect",
    CloseRoom: "close",
    CheckMemberships: "memberships",
    SendToEventsSockets: "events_sockets",
    EndSessions: "sessions",
    SetReceiptsSharing: "receipts",
}
_CLASSES: dict[str, type[ClusterMessage]] = {tag: kind for kind, tag in TAGS.items()}


def to_wire(message: ClusterMessage) -> WireMessage:
    return [TAGS[type(message)], *astuple(message)]


def from_wire(wire: Sequence[Any]) -> ClusterMessage:
    """Raises KeyError for an unknown tag, TypeError for unknown fields."""
    tag, *fields = wire
    return _CLASSES[tag](*fields)
