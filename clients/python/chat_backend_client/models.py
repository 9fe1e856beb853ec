"""What the server answers, as small dataclasses. Unknown members are ignored."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, Self

Json = dict[str, Any]
Role = Literal["owner", "admin", "member"]
RoomKind = Literal["public", "group", "private"]
NAMES: dict[type[Any], frozenset[str]] = {}
"""Names of the members of each model: looking them up is most of the cost of reading a message."""


def known(model: type[Any], body: Json) -> Json:
    """Returns the members of a JSON object that the model has."""
    names = NAMES.get(model)
    if names is None:
        names = NAMES[model] = frozenset(one.name for one in fields(model))
    return {name: value for name, value in body.items() if name in names}


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class Model:
    """A part of an answer whose members are plain values."""

    __slots__ = ()

    @classmethod
    def of(cls, body: Json) -> Self:
        return cls(**known(cls, body))


@dataclass(frozen=True, slots=True)
class User(Model):
    id: int
    username: str
    display_name: str = ""
    email: str | None = None
    share_receipts: bool | None = None


@dataclass(frozen=True, slots=True)
class Reaction(Model):
    emoji: str
    count: int
    users: list[int]


@dataclass(frozen=True, slots=True)
class Quote(Model):
    id: int
    sender: int
    username: str
    content: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Attachment(Model):
    id: int
    name: str
    content_type: str
    size: int
    width: int | None
    height: int | None
    url: str
    thumbnail_url: str | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the state of its `version`."""

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
    attachments: list[Attachment] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    mentions: list[int] = field(default_factory=list)
    mentions_all: bool = False
    quote: Quote | None = None
    pinned: bool = False
    highlight: str | None = None
    """Only in search results: an excerpt in HTML."""

    @classmethod
    def of(cls, body: Json) -> Self:
        """Reads an answer of REST, or a frame, which calls the text `message`."""
        values = known(cls, body)
        values["content"] = body["content"] if "content" in body else body["message"]
        values["timestamp"] = moment(body["timestamp"])
        values["edited_at"] = moment(body["edited_at"])
        values["attachments"] = [Attachment.of(one) for one in body.get("attachments", [])]
        values["reactions"] = [Reaction.of(one) for one in body.get("reactions", [])]
        values["quote"] = Quote.of(body["quote"]) if body.get("quote") else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class RoomInfo:
    """A room; the members from `role` on only for the caller's own rooms."""

    id: int
    name: str | None
    kind: RoomKind
    title: str
    topic: str
    created_by: int | None
    created_at: datetime
    member_count: int
    last_seq: int
    version: int
    members: list[str] | None = None
    role: Role | None = None
    unread: int = 0
    last_read_seq: int = 0
    mentions: int = 0
    muted: bool = False
    last_message: Message | None = None

    @classmethod
    def of(cls, body: Json) -> Self:
        values = known(cls, body)
        values["created_at"] = moment(body["created_at"])
        last = body.get("last_message")
        values["last_message"] = Message.of(last) if last else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Member:
    id: int
    username: str
    role: Role
    online: bool
    last_seen: datetime | None
    joined_at: datetime

    @classmethod
    def of(cls, body: Json) -> Self:
        values = known(cls, body)
        values["last_seen"] = moment(body["last_seen"])
        values["joined_at"] = moment(body["joined_at"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Receipt(Model):
    user_id: int
    username: str
    read_seq: int
    delivered_seq: int


@dataclass(frozen=True, slots=True)
class Marker(Model):
    """How far the caller has read a room."""

    last_read_seq: int
    unread: int
