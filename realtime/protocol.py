"""Defines every WebSocket frame, in both directions (contract §3).

Clients send one JSON object per text frame. `parse` returns one of the ClientFrame classes or
raises FrameError. `encode` returns the text of a server frame, once for all its recipients.
Imports pydantic, no Django.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import from_json

from accounts.kernel.errors import MAX_ERRORS, MAX_MEMBERS, TOO_MANY_MEMBERS, sentence_of
from accounts.kernel.fields import MAX_ID, Id, NameInPath, Seq, Timestamp
from accounts.schemas import Token
from messaging.schemas import AttachmentIds, ClientId, MessageMembers, MyRoomOut
from rooms.schemas import RoomOut

MAX_FRAME_LENGTH = 65_536
"""Bytes of UTF-8 in a client frame."""

MAX_REF_LENGTH = 128
MAX_INSPECTED_LENGTH = 8192
"""Characters up to which a frame that is refused before parsing gets its `ref` echoed."""
MAX_SINCE_DIGITS = 10**30
MAX_RESUMED_ROOMS = 2000
"""Rooms of one `resume` on an events socket."""
Since = Annotated[int, Field(strict=True, ge=0, lt=MAX_SINCE_DIGITS)]
Ref = Annotated[str, StringConstraints(max_length=MAX_REF_LENGTH)]


F = TypeVar("F", bound="ClientFrame")


def _absent(value: object) -> bool:
    return value is None


# Client frames


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
    """Tells the others that the caller types, or stopped: not stored."""

    type: Literal["typing"] = "typing"
    typing: bool = True


class Join(ClientFrame):
    """Asks for the caller's own `join`; the others hear it at most every 10 s."""

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
    """Tells the others of a room that the caller types, or stopped: not stored."""


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


def _kind(frame: Any) -> Any:
    """Returns the `type`: by default `typing` with that member, else `message`.

    None for a frame with thousands of members: pydantic would build an error for each of them.
    """
    if not isinstance(frame, dict) or len(frame) > MAX_MEMBERS:
        return None
    return frame.get("type", "typing" if "typing" in frame else "message")


AnyClientFrame = SendMessage | Typing | Join | Exit | Read | Delivered | Resume | Ping
_CLIENT_FRAMES: TypeAdapter[AnyClientFrame] = TypeAdapter(
    Annotated[
        Annotated[SendMessage, Tag("message")]
        | Annotated[Typing, Tag("typing")]
        | Annotated[Join, Tag("join")]
        | Annotated[Exit, Tag("exit")]
        | Annotated[Read, Tag("read")]
        | Annotated[Delivered, Tag("delivered")]
        | Annotated[Resume, Tag("resume")]
        | Annotated[Ping, Tag("ping")],
        Discriminator(_kind),
    ]
)

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
_EVENTS_FRAMES: TypeAdapter[AnyEventsFrame] = TypeAdapter(
    Annotated[
        Annotated[SendToRoom, Tag("message")]
        | Annotated[TypingInRoom, Tag("typing")]
        | Annotated[JoinInRoom, Tag("join")]
        | Annotated[ExitRoom, Tag("exit")]
        | Annotated[ReadRoom, Tag("read")]
        | Annotated[DeliveredInRoom, Tag("delivered")]
        | Annotated[Follow, Tag("follow")]
        | Annotated[Unfollow, Tag("unfollow")]
        | Annotated[ResumeRooms, Tag("resume")]
        | Annotated[Ping, Tag("ping")],
        Discriminator(_kind),
    ]
)


FrameErrorCode = Literal["bad_frame", "unknown_type", "invalid", "frame_too_big"]


class FrameError(Exception):
    """A frame that cannot be handled. `ref` is echoed if it could be read."""

    def __init__(
        self,
        code: FrameErrorCode,
        message: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        frame: dict[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.errors = errors
        self.ref = _ref_of(frame or {})
        super().__init__(message)


def parse(text: str | None) -> AnyClientFrame:
    """Parses a client frame; None stands for a binary one. Raises FrameError."""
    return _parse(text, _CLIENT_FRAMES)


def parse_events_frame(text: str | None) -> AnyEventsFrame:
    """Parses a client frame of an events socket. Raises FrameError."""
    return _parse(text, _EVENTS_FRAMES)


def _parse(text: str | None, frames: TypeAdapter[F]) -> F:
    if text is None:
        raise FrameError("bad_frame", "Frames are text, one JSON object each")
    # A character has 1 to 4 bytes, so a short text needs no exact count.
    if len(text) > MAX_FRAME_LENGTH // 4 and len(text.encode()) > MAX_FRAME_LENGTH:
        raise FrameError("frame_too_big", f"A frame has at most {MAX_FRAME_LENGTH} bytes")
    try:
        return frames.validate_json(text)
    except ValidationError as error:
        raise _frame_error(text, error) from None


def ref_in(text: str | None) -> str | None:
    """Returns the `ref` of a frame refused before parsing; None if it is large."""
    if text is None or len(text) > MAX_INSPECTED_LENGTH:
        return None
    return _ref_of(_object_in(text))


def room_in(text: str | None) -> int | None:
    """Returns the `room_id` of a refused frame; None if it is large or has none."""
    if text is None or len(text) > MAX_INSPECTED_LENGTH:
        return None
    room_id = _object_in(text).get("room_id")
    return room_id if type(room_id) is int and 0 < room_id <= MAX_ID else None


def token_in(text: str | None) -> str | None:
    """Returns the `token` of a first frame that is not validated yet."""
    if text is None or len(text.encode()) > MAX_FRAME_LENGTH:
        return None
    token = _object_in(text).get("token")
    return token if isinstance(token, str) else None


def _object_in(text: str) -> dict[str, Any]:
    """Decodes without validating, at a fraction of the cost; empty if no object."""
    try:
        frame = from_json(text, allow_inf_nan=False)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}


def _ref_of(frame: dict[str, Any]) -> str | None:
    ref = frame.get("ref")
    return ref if isinstance(ref, str) and len(ref) <= MAX_REF_LENGTH else None


def _frame_error(text: str, error: ValidationError) -> FrameError:
    try:
        frame = from_json(text, allow_inf_nan=False)
    except ValueError:
        return FrameError("bad_frame", "This frame is not JSON")
    if not isinstance(frame, dict):
        return FrameError("bad_frame", "A frame is one JSON object")
    kind = frame.get("type", "")
    if not isinstance(kind, str):
        wrong_type = [{"loc": ["type"], "msg": "must be a string", "type": "string_type"}]
        return FrameError("invalid", "type: must be a string", errors=wrong_type, frame=frame)
    if len(frame) > MAX_MEMBERS:
        return FrameError(
            "invalid", sentence_of(TOO_MANY_MEMBERS), errors=TOO_MANY_MEMBERS, frame=frame
        )
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "union_tag_invalid":
        return FrameError("unknown_type", "There is no client frame of this type", frame=frame)
    # The first part of each location is the frame's type.
    errors = [
        {"loc": [str(part) for part in item["loc"][1:]], "msg": item["msg"], "type": item["type"]}
        for item in found[:MAX_ERRORS]
    ]
    return FrameError("invalid", sentence_of(errors), errors=errors, frame=frame)


# Server frames

MessageKind = Literal["message", "edit", "delete", "reaction", "pin"]
RemovalReason = Literal["removed", "left", "deleted"]
FieldErrors = Annotated[
    list[dict[str, Any]],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {"type": "string"}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
                "required": ["loc", "msg", "type"],
            },
        }
    ),
]
"""Which members break which rule."""


class ServerFrame(BaseModel):
    # Members with a default are always sent: without `type` in `required`, clients cannot narrow.
    model_config = ConfigDict(
        from_attributes=True, json_schema_serialization_defaults_required=True
    )


class Answering(ServerFrame):
    """A frame that may reply to a client frame, whose `ref` it echoes."""

    ref: Annotated[str | None, Field(description="That of the frame this one answers")] = Field(
        None, exclude_if=_absent
    )


class UserOut(ServerFrame):
    id: int
    username: str


class Ready(ServerFrame):
    """Always the first frame: signed in, and subscribed to the room.

    `online` has at most 100 usernames. Frames after `version` follow.
    """

    type: Literal["ready"] = "ready"
    room: RoomOut
    user: UserOut
    version: int
    online: list[str]
    online_count: int


class _MessageType(BaseModel):
    """A separate base class makes `type` the first member in the JSON."""

    type: MessageKind


class MessageState(MessageMembers, _MessageType):
    """The whole state of a message: what all frames about a message have."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    message: str = Field(validation_alias="content")


class MessageFrame(MessageState):
    """A message, stored before any client receives it."""

    type: Literal["message"] = "message"


class EditFrame(MessageState):
    """A message whose text changed: its whole state."""

    type: Literal["edit"] = "edit"


class DeleteFrame(MessageState):
    """A message that was deleted: it keeps its `seq` and loses its text."""

    type: Literal["delete"] = "delete"


class ReactionFrame(MessageState):
    """A message whose reactions changed: its whole state."""

    type: Literal["reaction"] = "reaction"


class PinFrame(MessageState):
    """A message that was pinned or unpinned (see `pinned`): its whole state."""

    type: Literal["pin"] = "pin"


class Ack(Answering):
    """The message of this socket is stored. Outside the order of versions."""

    type: Literal["ack"] = "ack"
    client_id: str | None = Field(None, exclude_if=_absent)
    room_id: int
    id: int
    seq: int
    version: int
    duplicate: Annotated[
        bool, Field(description="An earlier frame with this `client_id` made the message")
    ]


class TypingOut(ServerFrame):
    """Another user types, or stopped. Clients forget it after 6 seconds."""

    type: Literal["typing"] = "typing"
    sender: int
    username: str
    typing: bool


class Joined(Answering):
    """The first socket of a user in the room opened."""

    type: Literal["join"] = "join"
    username: str


class Exited(Answering):
    """The last socket of a user in the room closed."""

    type: Literal["exit"] = "exit"
    username: str


class ReadOut(Answering):
    """A user has read everything up to `seq`."""

    type: Literal["read"] = "read"
    username: str
    seq: int


class DeliveredOut(Answering):
    """A device of a user has everything up to `seq`."""

    type: Literal["delivered"] = "delivered"
    username: str
    seq: int


class RoomFrame(ServerFrame):
    """The title or topic of the room changed."""

    type: Literal["room"] = "room"
    room: RoomOut


class Resumed(Answering):
    """Ends a resume.

    If `complete`, all changes from version `from` to `to` were sent. Otherwise none was: the client
    reloads history by REST.
    """

    type: Literal["resumed"] = "resumed"
    first: int = Field(serialization_alias="from")
    to: int
    complete: bool


class Pong(Answering):
    """The answer to a `ping`."""

    type: Literal["pong"] = "pong"


class ErrorFrame(Answering):
    """The frame had no effect; or the socket closes, with `code` as reason."""

    type: Literal["error"] = "error"
    code: str
    message: Annotated[str, Field(description="For people")]
    retry_after: Annotated[float | None, Field(description="Seconds to wait")] = Field(
        None, exclude_if=_absent
    )
    errors: FieldErrors | None = Field(None, exclude_if=_absent)
    room_id: Annotated[
        int | None, Field(description="Of the frame that had no effect, on an events socket")
    ] = Field(None, exclude_if=_absent)


AnyServerFrame = (
    Ready
    | MessageFrame
    | EditFrame
    | DeleteFrame
    | ReactionFrame
    | PinFrame
    | Ack
    | TypingOut
    | Joined
    | Exited
    | ReadOut
    | DeliveredOut
    | RoomFrame
    | Resumed
    | Pong
    | ErrorFrame
)
"""What a socket of one room receives."""


# Server frames of `/ws/events/` alone


class InRoom(BaseModel):
    """A frame about a room, as `with_room_id` writes it. No object of it is made."""

    room_id: int


class TypingOutInRoom(InRoom, TypingOut):
    """Another user of a room types, or stopped."""


class JoinedInRoom(InRoom, Joined):
    """The first socket of a user in a room opened."""


class ExitedInRoom(InRoom, Exited):
    """The last socket of a user in a room closed."""


class ReadOutInRoom(InRoom, ReadOut):
    """A user has read everything of a room up to `seq`."""


class DeliveredOutInRoom(InRoom, DeliveredOut):
    """A device of a user has everything of a room up to `seq`."""


class RoomFrameInRoom(InRoom, RoomFrame):
    """The title or topic of a room changed."""


class ResumedInRoom(InRoom, Resumed):
    """Ends the resume of one room.

    If `complete`, all changes from version `from` to `to` were sent. Otherwise none was: the client
    reloads history by REST.
    """


class RoomState(ServerFrame):
    """A followed room at the moment of `ready`."""

    id: int
    version: int
    last_seq: int
    last_read_seq: int
    unread: int
    mentions: int
    muted: bool


class EventsReady(ServerFrame):
    """Always the first frame: signed in, and following `rooms`.

    `more`: the caller has further rooms, which the socket does not follow.
    """

    type: Literal["ready"] = "ready"
    user: UserOut
    rooms: list[RoomState]
    more: bool


class Followed(Answering):
    """The socket follows a room. Frames after `version` come from then on."""

    type: Literal["followed"] = "followed"
    room_id: int
    room: RoomOut
    version: int
    online: list[str]
    online_count: int


class Unfollowed(Answering):
    """The socket does not follow this room any more."""

    type: Literal["unfollowed"] = "unfollowed"
    room_id: int


class RoomAdded(ServerFrame):
    """The caller became a member. Frames of the room follow from `room.version` on."""

    type: Literal["room_added"] = "room_added"
    room: MyRoomOut


class RoomRemoved(ServerFrame):
    """The room is no longer the caller's. No later frame of it arrives."""

    type: Literal["room_removed"] = "room_removed"
    room_id: int
    reason: RemovalReason


class Marks(ServerFrame):
    """The caller read or muted a room, on any device."""

    type: Literal["marks"] = "marks"
    room_id: int
    last_read_seq: int
    unread: int
    mentions: int
    muted: bool


class ProfileUser(UserOut):
    display_name: str


class ProfileFrame(ServerFrame):
    """A user who shares a room with the caller changed the display name."""

    type: Literal["profile"] = "profile"
    user: ProfileUser


class PresenceFrame(ServerFrame):
    """A user who shares a room with the caller came online or went offline."""

    type: Literal["presence"] = "presence"
    user_id: int
    username: str
    online: bool
    last_seen: Timestamp | None


AnyEventsServerFrame = (
    EventsReady
    | MessageFrame
    | EditFrame
    | DeleteFrame
    | ReactionFrame
    | PinFrame
    | Ack
    | TypingOutInRoom
    | JoinedInRoom
    | ExitedInRoom
    | ReadOutInRoom
    | DeliveredOutInRoom
    | RoomFrameInRoom
    | ResumedInRoom
    | Pong
    | ErrorFrame
    | Followed
    | Unfollowed
    | RoomAdded
    | RoomRemoved
    | Marks
    | ProfileFrame
    | PresenceFrame
)
"""What an events socket receives."""

_MESSAGE_FRAMES: dict[MessageKind, type[MessageState]] = {
    "message": MessageFrame,
    "edit": EditFrame,
    "delete": DeleteFrame,
    "reaction": ReactionFrame,
    "pin": PinFrame,
}


def encode(frame: ServerFrame | MessageState) -> str:
    return frame.model_dump_json(by_alias=True)


def with_room_id(text: str, room_id: int) -> str:
    """Returns the text of a frame about a room as events sockets receive it.

    From the encoded text: a frame of another process arrives as such, and one copy serves all
    events sockets that follow the room.
    """
    return f'{text[:-1]},"room_id":{room_id}}}'


def message_text(kind: MessageKind, message: object) -> str:
    """Encodes a message frame from an object with the attributes of MessageOut."""
    return encode(_MESSAGE_FRAMES[kind].model_validate(message))
