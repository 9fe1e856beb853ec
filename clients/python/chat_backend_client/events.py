"""Defines the events that an app receives.

Changes of messages, and events that are not stored.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from .models import Message, RoomInfo

ChangeKind = Literal["message", "edit", "delete", "reaction", "pin"]
CHANGE_KINDS: frozenset[str] = frozenset({"message", "edit", "delete", "reaction", "pin"})


class Position(NamedTuple):
    """How far a room was shown: a bot stores it to go on there after a restart."""

    version: int
    seq: int


@dataclass(frozen=True, slots=True)
class Change:
    """A new message, or the new state of one: replace your copy."""

    kind: ChangeKind
    room_id: int
    message: Message
    position: Position


@dataclass(frozen=True, slots=True)
class Reset:
    """Take `room.messages` afresh.

    The app was too slow for all events, or the server's database was restored from a backup.
    """

    room_id: int
    kind: Literal["reset"] = "reset"


@dataclass(frozen=True, slots=True)
class Typing:
    """A user types, or stopped. Drop it after 6 s."""

    room_id: int
    username: str
    typing: bool
    kind: Literal["typing"] = "typing"


@dataclass(frozen=True, slots=True)
class Presence:
    """A user's first socket in the room opened, or the last one closed."""

    room_id: int
    username: str
    online: bool
    kind: Literal["presence"] = "presence"


@dataclass(frozen=True, slots=True)
class Read:
    room_id: int
    username: str
    seq: int
    kind: Literal["read"] = "read"


@dataclass(frozen=True, slots=True)
class Delivered:
    room_id: int
    username: str
    seq: int
    kind: Literal["delivered"] = "delivered"


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """The title or topic changed."""

    room_id: int
    room: RoomInfo
    kind: Literal["room"] = "room"


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket is open (again), or lost."""

    room_id: int
    connected: bool
    kind: Literal["connected"] = "connected"


RoomEvent = Change | Reset | Typing | Presence | Read | Delivered | RoomChanged | Connected


@dataclass(frozen=True, slots=True)
class RoomAdded:
    """The caller became a member."""

    room_id: int
    room: RoomInfo
    kind: Literal["room_added"] = "room_added"


@dataclass(frozen=True, slots=True)
class RoomRemoved:
    room_id: int
    reason: Literal["removed", "left", "deleted"]
    kind: Literal["room_removed"] = "room_removed"


@dataclass(frozen=True, slots=True)
class Marks:
    """The caller read or muted a room on any device."""

    room_id: int
    last_read_seq: int
    unread: int
    mentions: int
    muted: bool
    kind: Literal["marks"] = "marks"


@dataclass(frozen=True, slots=True)
class Profile:
    user_id: int
    username: str
    display_name: str
    kind: Literal["profile"] = "profile"


@dataclass(frozen=True, slots=True)
class UserPresence:
    """A user who shares a room with the caller came online or went offline."""

    user_id: int
    username: str
    online: bool
    last_seen: datetime | None
    kind: Literal["user_presence"] = "user_presence"


AnyEvent = RoomEvent | RoomAdded | RoomRemoved | Marks | Profile | UserPresence
