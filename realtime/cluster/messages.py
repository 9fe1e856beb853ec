"""What processes publish to each other: one dataclass for each message.

On the wire a message is a list: its tag, then its fields in order. A process ignores a tag that it
does not know, so that versions can run side by side during a rolling restart.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

WireMessage = list[Any]
"""`[tag, *fields]`: plain values only."""


@dataclass(frozen=True, slots=True)
class DeliverFrame:
    """A versioned frame of a room. `access_epoch` is the room's when the version was assigned."""

    room_id: int
    version: int
    access_epoch: int
    text: str


@dataclass(frozen=True, slots=True)
class SendToUsers:
    """A frame outside the order of versions, to some users' sockets in a room."""

    room_id: int
    user_ids: list[int]
    text: str


@dataclass(frozen=True, slots=True)
class SendToRoom:
    """A frame outside the order of versions, to all sockets of a room but those of one user."""

    room_id: int
    text: str
    except_user_id: int | None
    droppable: bool


@dataclass(frozen=True, slots=True)
class SendReadMarker:
    """How far a user has read. In rooms above CHAT_PRESENCE_MAX_USERS only their sockets get it."""

    room_id: int
    user_id: int
    text: str


@dataclass(frozen=True, slots=True)
class DisconnectMember:
    """A user lost their membership, which raised the room's access epoch to this one.

    `removed` tells a removal (4403) from a leave (1000).
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
class EndSessions:
    """Sign-ins ended. The only message that concerns every process."""

    session_ids: list[int]


ClusterMessage = (
    DeliverFrame
    | SendToUsers
    | SendToRoom
    | SendReadMarker
    | DisconnectMember
    | CloseRoom
    | EndSessions
)

TAGS: dict[type[ClusterMessage], str] = {
    DeliverFrame: "deliver",
    SendToUsers: "users",
    SendToRoom: "room",
    SendReadMarker: "read",
    DisconnectMember: "disconnect",
    CloseRoom: "close",
    EndSessions: "sessions",
}
_CLASSES: dict[str, type[ClusterMessage]] = {tag: kind for kind, tag in TAGS.items()}


def to_wire(message: ClusterMessage) -> WireMessage:
    return [TAGS[type(message)], *astuple(message)]


def from_wire(wire: Sequence[Any]) -> ClusterMessage:
    """Raises KeyError for an unknown tag and TypeError for other fields than ours."""
    tag, *fields = wire
    return _CLASSES[tag](*fields)
