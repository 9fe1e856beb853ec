"""Defines the events of messages, published after the commit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from accounts.kernel.events import Event

from .quotes import Quote


@dataclass(frozen=True, slots=True)
class MessageState:
    """A message at `version`, with the values of MessageOut (contract §2).

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
    mentions: list[int] = field(default_factory=list)
    mentions_all: bool = False
    quote: Quote | None = None
    pinned: bool = False
    attachments: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class MessageSent(Event):
    """A message was stored.

    `via_room_id` is the room of the socket that sent a private one.
    """

    message: MessageState
    via_room_id: int | None = None


@dataclass(frozen=True, slots=True)
class MessageEdited(Event):
    message: MessageState


@dataclass(frozen=True, slots=True)
class MessageErased(Event):
    """A message was deleted; `message` is the tombstone."""

    message: MessageState


@dataclass(frozen=True, slots=True)
class ReactionsChanged(Event):
    message: MessageState


@dataclass(frozen=True, slots=True)
class PinChanged(Event):
    """A message was pinned or unpinned."""

    message: MessageState


@dataclass(frozen=True, slots=True)
class DeliveredAdvanced(Event):
    """A member's client received more, in a room that has receipts."""

    room_id: int
    user_id: int
    username: str
    seq: int


@dataclass(frozen=True, slots=True)
class ReadAdvanced(Event):
    """A member read more; unless `shared`, only the member's own devices receive it."""

    room_id: int
    user_id: int
    username: str
    seq: int
    shared: bool = True
