"""Defines the command and the result of a send."""

from dataclasses import dataclass

from messaging.events import MessageState


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that passed all checks without the database.

    `username` is the sender that the client named, if any.
    """

    user_id: int
    session_id: int
    room_id: int
    content: str
    digest: str = ""
    client_id: str | None = None
    reply_to: int | None = None
    via_room_id: int | None = None
    username: str | None = None
    attachments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """Holds a stored message.

    `duplicate` when an earlier send with its `client_id` stored it.
    """

    message: MessageState
    duplicate: bool
