"""What is said and changed, told after commit."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.kernel.events import Event


@dataclass(frozen=True, slots=True)
class MessageState:
    """A message as it is at `version`: the values of contract §2 MessageOut.

    `access_epoch` is the room's, read under the lock that gave the version.
    """

    id: int
    seq: int
    version: int
    room: str | None
    room_id: int
    sender: int
    username: str
    receiver: int | None
    content: str
    timestamp: datetime
    edited_at: datetime | None
    deleted: bool
    reply_to: int | None
    client_id: str | None
    reactions: list[dict[str, Any]]
    access_epoch: int
    # Attachments come with a later version of the product; until then every message has none.
    attachments: tuple[()] = ()


@dataclass(frozen=True, slots=True)
class MessageSent(Event):
    """`via_room_id`: the room whose socket a private message was sent from."""

    message: MessageState
    via_room_id: int | None = None


@dataclass(frozen=True, slots=True)
class MessageEdited(Event):
    message: MessageState


@dataclass(frozen=True, slots=True)
class MessageErased(Event):
    """Deleted by a person: the tombstone."""

    message: MessageState


@dataclass(frozen=True, slots=True)
class ReactionsChanged(Event):
    message: MessageState


@dataclass(frozen=True, slots=True)
class ReadAdvanced(Event):
    room_id: int
    user_id: int
    username: str
    seq: int
