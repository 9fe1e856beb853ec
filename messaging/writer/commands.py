"""What callers hand to the writer, and what they get back."""

from dataclasses import dataclass

from messaging.events import MessageState


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that passed all checks that need no database.

    `username` is whom the client claims to be, if it said so.
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


@dataclass(frozen=True, slots=True)
class Sent:
    """A stored message; `duplicate` when its `client_id` had stored it before."""

    message: MessageState
    duplicate: bool
