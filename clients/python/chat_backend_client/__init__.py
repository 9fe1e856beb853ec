"""A chat client that keeps the delivery promise.

No message is lost, doubled or out of order.

For bots, tests and scripts. See README.md.
"""

from .client import ChatClient
from .errors import (
    ChatError,
    Closed,
    NotAcknowledged,
    NotConnected,
    OutboxFull,
    Refused,
    SignedOut,
    TooLong,
    Unreachable,
)
from .events import (
    AnyEvent,
    Change,
    Connected,
    Delivered,
    Marks,
    Position,
    Presence,
    Profile,
    Read,
    Reset,
    RoomAdded,
    RoomChanged,
    RoomEvent,
    RoomRemoved,
    Typing,
    UserPresence,
)
from .events_socket import Events
from .models import Attachment, Member, Message, Quote, Reaction, Receipt, RoomInfo, User
from .options import Options
from .outbox import Outgoing
from .room import Room
from .storage import MemoryStorage, SqliteStorage, Storage

__all__ = [
    "AnyEvent",
    "Attachment",
    "Change",
    "ChatClient",
    "ChatError",
    "Closed",
    "Connected",
    "Delivered",
    "Events",
    "Marks",
    "Member",
    "MemoryStorage",
    "Message",
    "NotAcknowledged",
    "NotConnected",
    "Options",
    "OutboxFull",
    "Outgoing",
    "Position",
    "Presence",
    "Profile",
    "Quote",
    "Reaction",
    "Read",
    "Receipt",
    "Refused",
    "Reset",
    "Room",
    "RoomAdded",
    "RoomChanged",
    "RoomEvent",
    "RoomInfo",
    "RoomRemoved",
    "SignedOut",
    "SqliteStorage",
    "Storage",
    "TooLong",
    "Typing",
    "Unreachable",
    "User",
    "UserPresence",
]
