"""Defines the frames that clients send (contract §3, §7)."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from accounts.kernel.fields import Id, NameInPath, Seq
from accounts.schemas import Token
from messaging.schemas import AttachmentIds, ClientId

MAX_REF_LENGTH = 128
MAX_SINCE_DIGITS = 30
MAX_RESUMED_ROOMS = 2000
"""Rooms of one `resume` on an events socket."""
Since = Annotated[int, Field(strict=True, ge=0, lt=10**MAX_SINCE_DIGITS)]
Ref = Annotated[str, StringConstraints(max_length=MAX_REF_LENGTH)]


class ClientFrame(BaseModel):
    """The members that every client frame may have."""

    model_config = ConfigDict(strict=True, extra="forbid")

    token: Annotated[
        Token | None, Field(description="An access token: signs in, or renews the sign-in")
    ] = None
    username: Annotated[NameInPath | None, Field(description="Must be the caller's own")] = None
    ref: Annotated[
        Ref | None, Field(description="Repeated by the `ack`, `error` or answer to this frame")
    ] = None


class SendMessage(ClientFrame):
    """Sends a message to the room, or with `receiver` a private one."""

    type: Literal["message"] = "message"
    message: str = Field(
        validation_alias=AliasChoices("message", "content"),
        description="Trimmed. `content` is another name of it. May be empty with files",
    )
    client_id: Annotated[
        ClientId | None,
        Field(description="New for each message: sent again, it never makes a second message"),
    ] = None
    receiver: Annotated[
        Id | None, Field(description="A user's id: makes it a private message to that user")
    ] = None
    reply_to: Annotated[Id | None, Field(description="Id of a message of this room")] = None
    attachments: AttachmentIds = []


class Typing(ClientFrame):
    """Publishes that the caller types, or stopped: not stored."""

    type: Literal["typing"] = "typing"
    typing: bool = True


class Join(ClientFrame):
    """Asks for the caller's own `join`; the others receive it at most every 10 s."""

    type: Literal["join"] = "join"


class Exit(ClientFrame):
    """Ends the socket: `exit`, then close code 1000."""

    type: Literal["exit"] = "exit"


class Read(ClientFrame):
    """Marks everything up to `seq` as read."""

    type: Literal["read"] = "read"
    seq: Seq


class Delivered(ClientFrame):
    """Marks everything up to `seq` as received by this device."""

    type: Literal["delivered"] = "delivered"
    seq: Seq


class Resume(ClientFrame):
    """Asks for everything after version `since`; `resumed` ends the answer."""

    type: Literal["resume"] = "resume"
    since: Since


class Ping(ClientFrame):
    """Asks for a `pong`."""

    type: Literal["ping"] = "ping"


# Client frames of `/ws/events/`, where a frame names its room


class Addressed(BaseModel):
    """A frame about one room: by id, or as the private room with a user."""

    room_id: Annotated[Id | None, Field(description="Needed, unless there is a `receiver`")] = None
    receiver: Annotated[
        Id | None, Field(description="A user's id: the private room with that user")
    ] = None


class SendToRoom(Addressed, SendMessage):
    """Sends a message to a room, or a private one to a user."""


class TypingInRoom(Addressed, Typing):
    """Publishes in a room that the caller types, or stopped: not stored."""


class JoinInRoom(Addressed, Join):
    """Asks for the caller's own `join` in a room that the socket follows."""


class ExitRoom(Addressed, Exit):
    """Ends following a room, as `exit` ends a socket of one room."""


class ReadRoom(Addressed, Read):
    """Marks everything of a room up to `seq` as read."""


class DeliveredInRoom(Addressed, Delivered):
    """Marks everything of a room up to `seq` as received by this device."""


class Follow(Addressed, ClientFrame):
    """Follows a room, and counts the caller as online there."""

    type: Literal["follow"] = "follow"


class Unfollow(Addressed, ClientFrame):
    """Ends the frames of a room, not the membership."""

    type: Literal["unfollow"] = "unfollow"


class ResumeRooms(ClientFrame):
    """Asks for what followed in each room: `rooms` maps ids to versions."""

    type: Literal["resume"] = "resume"
    rooms: Annotated[dict[Id, Since], Field(max_length=MAX_RESUMED_ROOMS)]


AnyClientFrame = SendMessage | Typing | Join | Exit | Read | Delivered | Resume | Ping
AboutOneRoom = (
    SendToRoom
    | TypingInRoom
    | JoinInRoom
    | ExitRoom
    | ReadRoom
    | DeliveredInRoom
    | Follow
    | Unfollow
)
AnyEventsFrame = AboutOneRoom | ResumeRooms | Ping
