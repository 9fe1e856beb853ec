"""Parses client frames: one JSON object per text frame (contract §3).

`parse` returns one of the classes of `client_frames.py` or raises FrameError. Imports pydantic, no
Django.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError
from pydantic_core import from_json

from accounts.kernel.errors import MAX_ERRORS, MAX_MEMBERS, TOO_MANY_MEMBERS, sentence_of
from accounts.kernel.fields import MAX_ID

from .client_frames import (
    MAX_REF_LENGTH,
    AnyClientFrame,
    AnyEventsFrame,
    ClientFrame,
    Delivered,
    DeliveredInRoom,
    Exit,
    ExitRoom,
    Follow,
    Join,
    JoinInRoom,
    Ping,
    Read,
    ReadRoom,
    Resume,
    ResumeRooms,
    SendMessage,
    SendToRoom,
    Typing,
    TypingInRoom,
    Unfollow,
)

MAX_FRAME_LENGTH = 65_536
"""Bytes of UTF-8 in a client frame."""
MAX_INSPECTED_LENGTH = 8192
"""Characters up to which a frame that is refused before parsing gets its `ref` echoed."""

F = TypeVar("F", bound=ClientFrame)


def _type_of(frame: Any) -> Any:
    """Returns the `type`: by default `typing` with that member, else `message`.

    None for a frame with thousands of members: pydantic would build an error for each of them.
    """
    if not isinstance(frame, dict) or len(frame) > MAX_MEMBERS:
        return None
    return frame.get("type", "typing" if "typing" in frame else "message")


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
        Discriminator(_type_of),
    ]
)
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
        Discriminator(_type_of),
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
