"""Defines the frames that the server sends (contract §3, §7).

Docstrings and descriptions of fields are those of the AsyncAPI document.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from accounts.kernel.fields import Timestamp
from messaging.schemas import MessageMembers, MyRoomOut
from rooms.schemas import RoomOut

MessageKind = Literal["message", "edit", "delete", "reaction", "pin"]
RemovalReason = Literal["removed", "left", "deleted"]
MAX_ONLINE_NAMES = 100
"""Usernames in `online` of `ready`."""
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


def _absent(value: object) -> bool:
    return value is None


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
