"""Defines every WebSocket frame, in both directions (contract §3).

Clients send one JSON object per text frame. `parse` returns one of the ClientFrame classes or
raises FrameError. `encode` returns the text of a server frame, once for all its recipients.
Imports pydantic, no Django.
"""

from typing import Annotated, Any, Literal

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
)
from pydantic_core import from_json

from accounts.kernel.errors import MAX_ERRORS, MAX_MEMBERS, TOO_MANY_MEMBERS, sentence_of
from accounts.kernel.fields import Id, NameInPath, Seq
from accounts.schemas import Token
from messaging.schemas import AttachmentIds, ClientId, MessageMembers
from rooms.schemas import RoomOut

MAX_FRAME_LENGTH = 65_536
"""Bytes of UTF-8 in a client frame."""

MAX_REF_LENGTH = 128
MAX_INSPECTED_LENGTH = 8192
"""Characters up to which a frame that is refused before parsing gets its `ref` echoed."""
MAX_SINCE_DIGITS = 10**30
Ref = Annotated[str, StringConstraints(max_length=MAX_REF_LENGTH)]


def _absent(value: object) -> bool:
    return value is None


# Client frames


class ClientFrame(BaseModel):
    """The members that every client frame may have."""

    model_config = ConfigDict(strict=True, extra="forbid")

    token: Token | None = None
    username: NameInPath | None = None
    ref: Ref | None = None


class SendMessage(ClientFrame):
    type: Literal["message"] = "message"
    message: str = Field(validation_alias=AliasChoices("message", "content"))
    client_id: ClientId | None = None
    receiver: Id | None = None
    reply_to: Id | None = None
    attachments: AttachmentIds = []


class Typing(ClientFrame):
    type: Literal["typing"] = "typing"
    typing: bool = True


class Join(ClientFrame):
    type: Literal["join"] = "join"


class Exit(ClientFrame):
    type: Literal["exit"] = "exit"


class Read(ClientFrame):
    type: Literal["read"] = "read"
    seq: Seq


class Resume(ClientFrame):
    type: Literal["resume"] = "resume"
    since: Annotated[int, Field(strict=True, ge=0, lt=MAX_SINCE_DIGITS)]


class Ping(ClientFrame):
    type: Literal["ping"] = "ping"


def _kind(frame: Any) -> Any:
    """Returns the `type`: by default `typing` with that member, else `message`.

    None for a frame with thousands of members: pydantic would build an error for each of them.
    """
    if not isinstance(frame, dict) or len(frame) > MAX_MEMBERS:
        return None
    return frame.get("type", "typing" if "typing" in frame else "message")


AnyClientFrame = SendMessage | Typing | Join | Exit | Read | Resume | Ping
_CLIENT_FRAMES: TypeAdapter[AnyClientFrame] = TypeAdapter(
    Annotated[
        Annotated[SendMessage, Tag("message")]
        | Annotated[Typing, Tag("typing")]
        | Annotated[Join, Tag("join")]
        | Annotated[Exit, Tag("exit")]
        | Annotated[Read, Tag("read")]
        | Annotated[Resume, Tag("resume")]
        | Annotated[Ping, Tag("ping")],
        Discriminator(_kind),
    ]
)


class FrameError(Exception):
    """A frame that cannot be handled. `ref` is echoed if it could be read."""

    def __init__(
        self,
        code: Literal["bad_frame", "unknown_type", "invalid", "frame_too_big"],
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
    if text is None:
        raise FrameError("bad_frame", "Frames are text, one JSON object each")
    # A character has 1 to 4 bytes, so a short text needs no exact count.
    if len(text) > MAX_FRAME_LENGTH // 4 and len(text.encode()) > MAX_FRAME_LENGTH:
        raise FrameError("frame_too_big", f"A frame has at most {MAX_FRAME_LENGTH} bytes")
    try:
        return _CLIENT_FRAMES.validate_json(text)
    except ValidationError as error:
        raise _frame_error(text, error) from None


def ref_in(text: str | None) -> str | None:
    """Returns the `ref` of a frame refused before parsing; None if it is large."""
    if text is None or len(text) > MAX_INSPECTED_LENGTH:
        return None
    return _ref_of(_object_in(text))


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

MessageKind = Literal["message", "edit", "delete", "reaction"]


class ServerFrame(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Answering(ServerFrame):
    """A frame that may reply to a client frame, whose `ref` it echoes."""

    ref: str | None = Field(None, exclude_if=_absent)


class UserOut(ServerFrame):
    id: int
    username: str


class Ready(ServerFrame):
    type: Literal["ready"] = "ready"
    room: RoomOut
    user: UserOut
    version: int
    online: list[str]
    online_count: int


class _MessageType(BaseModel):
    """A separate base class makes `type` the first member in the JSON."""

    type: MessageKind = "message"


class MessageFrame(MessageMembers, _MessageType):
    """A message, or a change of one (see `type`): always the full state."""

    message: str = Field(validation_alias="content")


class Ack(Answering):
    type: Literal["ack"] = "ack"
    client_id: str | None = Field(None, exclude_if=_absent)
    room_id: int
    id: int
    seq: int
    version: int
    duplicate: bool


class TypingOut(ServerFrame):
    type: Literal["typing"] = "typing"
    sender: int
    username: str
    typing: bool


class Joined(Answering):
    type: Literal["join"] = "join"
    username: str


class Exited(Answering):
    type: Literal["exit"] = "exit"
    username: str


class ReadOut(Answering):
    type: Literal["read"] = "read"
    username: str
    seq: int


class RoomFrame(ServerFrame):
    type: Literal["room"] = "room"
    room: RoomOut


class Resumed(Answering):
    """Ends a resume.

    If `complete`, all changes from version `from` to `to` were sent.
    """

    type: Literal["resumed"] = "resumed"
    first: int = Field(serialization_alias="from")
    to: int
    complete: bool


class Pong(Answering):
    type: Literal["pong"] = "pong"


class ErrorFrame(Answering):
    type: Literal["error"] = "error"
    code: str
    message: str
    retry_after: float | None = Field(None, exclude_if=_absent)
    errors: list[dict[str, Any]] | None = Field(None, exclude_if=_absent)


AnyServerFrame = ServerFrame | MessageFrame


def encode(frame: AnyServerFrame) -> str:
    return frame.model_dump_json(by_alias=True)


def message_text(kind: MessageKind, message: object) -> str:
    """Encodes a message frame from an object with the attributes of MessageOut."""
    frame = MessageFrame.model_validate(message)
    frame.type = kind
    return encode(frame)
