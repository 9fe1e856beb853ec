"""Shapes of the messages API. Imports no Django: the frames of a message have the same members."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints

from accounts.kernel.fields import Answer, Body, Id, NameInPath, Seq, Timestamp, UserRef, example
from accounts.kernel.names import INVISIBLE
from rooms.schemas import ROOM_EXAMPLE, RoleName, RoomOut

# Signs that draw nothing themselves and make one emoji of several: the joiner (families), and the
# tags that spell the flags of regions. Variation selectors are marks, not among what is refused.
JOINERS = frozenset({"\u200d"} | {chr(code) for code in range(0xE0020, 0xE0080)})
BLANK_CHARACTERS = INVISIBLE | {"\u2800"}


def _is_reaction(emoji: str) -> str:
    # Emoji are many characters and ever new ones, which this Python may not know. What must not
    # pass is what cannot be seen, or turns round what stands beside it (U+202E).
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
NoAttachments = Annotated[
    list[Id], Field(max_length=0, description="Empty: attachments come with a later version")
]


class EditIn(Body):
    model_config = example({"content": "Hey everyone!"})
    # Its rules (length, trimming) are those of `text.clean_text`, for frames and REST alike.
    content: str = Field(validation_alias=AliasChoices("content", "message"))


class MessageIn(EditIn):
    """What a client says. `username`, if sent, must be the caller's own."""

    # Without `client_id`: one from the document, sent twice, would make one message.
    model_config = example({"content": "Hey everyone!"})
    username: Username | None = None
    client_id: Annotated[
        ClientId | None,
        Field(
            description="Chosen by the client, new for each message: makes a send safe to repeat"
        ),
    ] = None
    reply_to: Id | None = None
    attachments: NoAttachments = []


class MessageToRoomIn(MessageIn):
    """`room` is a name or an id."""

    model_config = example({"room": "friends", "content": "Hey everyone!"})
    room: UserRef


class ReadIn(Body):
    model_config = example({"seq": 12})
    seq: Seq


class ReactionOut(Answer):
    """`users` are the ids of the first 50."""

    model_config = example({"emoji": "👍", "count": 1, "users": [2]})
    emoji: str
    count: int
    users: list[int]


class MessageMembers(Answer):
    """What REST answers and frames say of a message, but for the name of its text."""

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
    attachments: list[int]
    reactions: list[ReactionOut]


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
    "attachments": [],
    "reactions": [{"emoji": "👍", "count": 1, "users": [2]}],
    "content": "Hey everyone!",
}


class MessageOut(MessageMembers):
    model_config = example(MESSAGE_EXAMPLE)
    content: str


class MyRoomOut(RoomOut):
    model_config = example(
        ROOM_EXAMPLE
        | {
            "role": "owner",
            "unread": 0,
            "last_read_seq": 12,
            "muted": False,
            "last_message": MESSAGE_EXAMPLE,
        }
    )
    role: RoleName
    unread: int
    last_read_seq: int
    muted: bool
    last_message: MessageOut | None


class ReadOut(Answer):
    model_config = example({"last_read_seq": 12, "unread": 0})
    last_read_seq: int
    unread: int
