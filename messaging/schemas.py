"""Defines the schemas of messages, without Django: frames share the members."""

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints

from accounts.kernel.fields import (
    Answer,
    Body,
    Id,
    Moment,
    NameInPath,
    Seq,
    Timestamp,
    UserRef,
    example,
)
from accounts.kernel.names import INVISIBLE
from rooms.schemas import ROOM_EXAMPLE, RoleName, RoomOut

from .attachments.schemas import ATTACHMENT_EXAMPLE, AttachmentOut

# Characters without a glyph that combine emoji: the joiner (families) and the tags of regional
# flags. Variation selectors are marks and allowed anyway.
JOINERS = frozenset({"\u200d"} | {chr(code) for code in range(0xE0020, 0xE0080)})
BLANK_CHARACTERS = INVISIBLE | {"\u2800"}


def _is_reaction(emoji: str) -> str:
    # Python may not know new emoji, so there is no list of them. Refused is text that cannot be
    # seen, or that reorders the text beside it (U+202E).
    if not all(sign in JOINERS or _is_allowed(sign) for sign in emoji):
        raise ValueError("must be visible characters")
    if not any(_is_visible(sign) for sign in emoji):
        raise ValueError("must have a visible character")
    return emoji


def _is_allowed(sign: str) -> bool:
    return unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")


def _is_visible(sign: str) -> bool:
    return not (sign in JOINERS or sign in BLANK_CHARACTERS or unicodedata.category(sign)[0] == "M")


ClientId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\x20-\x7e]+$")]
Emoji = Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(_is_reaction)]
Username = NameInPath
NotifyName = Literal["all", "mentions", "none"]
MAX_ATTACHMENTS = 10
AttachmentIds = Annotated[
    list[Id],
    Field(
        max_length=MAX_ATTACHMENTS,
        description="Ids of files that you uploaded, attached to no message yet. With files the "
        "text may be empty",
    ),
]


class EditIn(Body):
    model_config = example({"content": "Hey everyone!"})
    # `validation.clean_text` checks length and trims, for frames and REST alike.
    content: str = Field(validation_alias=AliasChoices("content", "message"))


class MessageIn(EditIn):
    """A message from a client. `username`, if sent, must be the caller's own."""

    # Without `client_id`: sent twice, the example of the document would create one message only.
    model_config = example({"content": "Hey everyone!"})
    username: Username | None = None
    client_id: Annotated[
        ClientId | None,
        Field(
            description="Chosen by the client, new for each message: makes a send safe to repeat"
        ),
    ] = None
    reply_to: Id | None = None
    attachments: AttachmentIds = []


class MessageToRoomIn(MessageIn):
    """`room` is a name or an id."""

    model_config = example({"room": "friends", "content": "Hey everyone!"})
    room: UserRef


class ReadIn(Body):
    model_config = example({"seq": 12})
    seq: Seq


class ReactionOut(Answer):
    """One emoji of a message; `users` are the ids of the first 50."""

    model_config = example({"emoji": "👍", "count": 1, "users": [2]})
    emoji: str
    count: int
    users: list[int]


class QuoteOut(Answer):
    """The message that another one replies to, as it is now.

    `content` has at most 200 characters, and none when the message was deleted.
    """

    model_config = example(
        {"id": 1, "sender": 2, "username": "kaushal", "content": "Hi!", "deleted": False}
    )
    id: int
    sender: int
    username: str
    content: str
    deleted: bool


class MessageMembers(Answer):
    """The members of a message in REST answers and frames, except its text."""

    id: int
    seq: int
    version: int
    room: str | None
    room_id: int
    sender: int
    username: str
    receiver: int | None
    timestamp: Timestamp
    edited_at: Timestamp | None
    deleted: bool
    reply_to: int | None
    client_id: str | None
    attachments: list[AttachmentOut]
    reactions: list[ReactionOut]
    mentions: Annotated[list[int], Field(description="Ids of mentioned members, at most 50")]
    mentions_all: Annotated[
        bool, Field(description="An owner or admin of a public or a group room wrote `@all`")
    ]
    quote: QuoteOut | None
    pinned: bool


MESSAGE_EXAMPLE = {
    "id": 1,
    "seq": 12,
    "version": 14,
    "room": "sports",
    "room_id": 1,
    "sender": 1,
    "username": "ila",
    "receiver": None,
    "timestamp": "2026-01-31T19:02:41.007Z",
    "edited_at": None,
    "deleted": False,
    "reply_to": None,
    "client_id": None,
    "attachments": [ATTACHMENT_EXAMPLE],
    "reactions": [{"emoji": "👍", "count": 1, "users": [2]}],
    "mentions": [],
    "mentions_all": False,
    "quote": None,
    "pinned": False,
    "content": "Hey everyone!",
}


class MessageOut(MessageMembers):
    model_config = example(MESSAGE_EXAMPLE)
    content: str


class FoundMessageOut(MessageOut):
    """A found message; `highlight` is an escaped HTML excerpt with `<mark>`."""

    model_config = example(MESSAGE_EXAMPLE | {"highlight": "<mark>Hey</mark> everyone!"})
    highlight: str


class MyRoomOut(RoomOut):
    model_config = example(
        ROOM_EXAMPLE
        | {
            "role": "owner",
            "unread": 0,
            "last_read_seq": 12,
            "mentions": 0,
            "muted": False,
            "muted_until": None,
            "notify": "all",
            "last_message": MESSAGE_EXAMPLE,
        }
    )
    role: RoleName
    unread: int
    last_read_seq: int
    mentions: Annotated[int, Field(description="Unread messages that mention you or everyone")]
    muted: bool
    muted_until: Timestamp | None
    notify: NotifyName
    last_message: MessageOut | None


class MyRoomIn(Body):
    """Members that are left out stay as they are."""

    model_config = example({"muted": True})
    muted: Annotated[
        bool | None, Field(description="Whether the room is muted: no message of it is pushed")
    ] = None
    muted_until: Annotated[
        Moment | None, Field(description="Mutes until then, in the future; without it for good")
    ] = None
    notify: Annotated[
        NotifyName | None,
        Field(description="Which messages are pushed: `all`, `mentions` or `none`"),
    ] = None


class DeliveredOut(Answer):
    model_config = example({"delivered_seq": 12})
    delivered_seq: int


class ReadOut(Answer):
    model_config = example({"last_read_seq": 12, "unread": 0})
    last_read_seq: int
    unread: int
