"""Encodes server frames, each once for all its recipients (contract §3)."""

from .server_frames import (
    DeleteFrame,
    EditFrame,
    MessageFrame,
    MessageKind,
    MessageState,
    PinFrame,
    ReactionFrame,
    ServerFrame,
)

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
