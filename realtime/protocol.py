"""Every frame of the wire, in both directions (contract §3). Pydantic alone, no Django.

Clients send one JSON object per text frame; `parse` turns it into one of the ClientFrame classes or
raises FrameError. `encode` turns a server frame into its text, once, however many will hear it.
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
from messaging.schemas import ClientId, MessageMembers, NoAttachments
from rooms.schemas import RoomOut

MAX_FRAME_LENGTH = 65_536
"""Bytes of UTF-8 in one client frame."""

MAX_REF_LENGTH = 128
MAX_INSPECTED_LENGTH = 8192
"""Characters of a frame that is refused unread, and whose `ref` is echoed all the same."""
MAX_SINCE_DIGITS = 10**30
Ref = Annotated[str, StringConstraints(max_length=MAX_REF_LENGTH)]


def _absent(value: object) -> bool:
    return value is None


# Client frames


class ClientFrame(BaseModel):
    """What every client frame may carry besides its own members."""

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
    attachments: NoAttachments = []


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
    """`type`; without one a frame is `typing` when it has a `typing` member, else `message`.

    None ends the matter: pydantic builds no error for each member of a frame of thousands.
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
    """A frame that cannot be taken. `ref` is what could be read of it all the same."""

    def __init__(
        self,
        code: Literal["bad_frame", "unknown_type", "invalid", "frame_too_big"],
        message: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        said: dict[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.errors = errors
        self.ref = _ref_of(said or {})
        super().__init__(message)


def parse(text: str | None) -> AnyClientFrame:
    """One client frame; None stands for a binary one. Raises FrameError."""
    if text is None:
        raise FrameError("bad_frame", "Frames are text, one JSON object each")
    # Four bytes a character at most: the exact count is needed only in between.
    if len(text) > MAX_FRAME_LENGTH // 4 and len(text.encode()) > MAX_FRAME_LENGTH:
        raise FrameError("frame_too_big", f"A frame has at most {MAX_FRAME_LENGTH} bytes")
    try:
        return _CLIENT_FRAMES.validate_json(text)
    except ValidationError as error:
        raise _frame_error(text, error) from None


def ref_in(text: str | None) -> str | None:
    """The `ref` of a frame that is refused unread; not looked for in a large one, which costs."""
    if text is None or len(text) > MAX_INSPECTED_LENGTH:
        return None
    return _ref_of(_object_in(text))


def token_in(text: str | None) -> str | None:
    """The `token` of a frame whose sender is not known yet: nothing else of it counts so far."""
    if text is None or len(text.encode()) > MAX_FRAME_LENGTH:
        return None
    token = _object_in(text).get("token")
    return token if isinstance(token, str) else None


def _object_in(text: str) -> dict[str, Any]:
    """A fraction of what validating costs, whatever stands there; empty for what is no object."""
    try:
        said = from_json(text, allow_inf_nan=False)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _ref_of(said: dict[str, Any]) -> str | None:
    ref = said.get("ref")
    return ref if isinstance(ref, str) and len(ref) <= MAX_REF_LENGTH else None


def _frame_error(text: str, error: ValidationError) -> FrameError:
    try:
        said = from_json(text, allow_inf_nan=False)
    except ValueError:
        return FrameError("bad_frame", "This frame is not JSON")
    if not isinstance(said, dict):
        return FrameError("bad_frame", "A frame is one JSON object")
    kind = said.get("type", "")
    if not isinstance(kind, str):
        wrong_type = [{"loc": ["type"], "msg": "must be a string", "type": "string_type"}]
        return FrameError("invalid", "type: must be a string", errors=wrong_type, said=said)
    if len(said) > MAX_MEMBERS:
        return FrameError(
            "invalid", sentence_of(TOO_MANY_MEMBERS), errors=TOO_MANY_MEMBERS, said=said
        )
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found[0]["type"] == "union_tag_invalid":
        return FrameError("unknown_type", "There is no client frame of this type", said=said)
    # The first part of each place is the frame's own type.
    errors = [
        {"loc": [str(part) for part in item["loc"][1:]], "msg": item["msg"], "type": item["type"]}
        for item in found[:MAX_ERRORS]
    ]
    return FrameError("invalid", sentence_of(errors), errors=errors, said=said)


# Server frames

MessageKind = Literal["message", "edit", "delete", "reaction"]


class ServerFrame(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Answering(ServerFrame):
    """A frame that may answer a client's: it echoes `ref`."""

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
    """A base of its own, so that `type` is the first member on the wire."""

    type: MessageKind = "message"


class MessageFrame(MessageMembers, _MessageType):
    """A message, or a change of one by its `type`: always the whole state."""

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
    """Everything from version `from` to version `to` has been sent, if `complete`."""

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
    """The text of a message frame, from an object with the attributes of MessageOut."""
    frame = MessageFrame.model_validate(message)
    frame.type = kind
    return encode(frame)
