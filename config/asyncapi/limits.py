"""Lists the limits that a socket's client meets, as this installation sets them."""

from typing import Any

from django.conf import settings

from accounts.kernel.errors import MAX_MEMBERS
from accounts.kernel.rate_limits import PERIODS, Rate
from realtime.protocol.client_frames import MAX_RESUMED_ROOMS
from realtime.protocol.parsing import MAX_FRAME_LENGTH

Schema = dict[str, Any]

SETTINGS = {
    "CHAT_MESSAGE_RATE": "Messages, edits, deletions, reactions and pins per user",
    "CHAT_FRAME_RATE": "Frames per socket",
    "CHAT_MESSAGE_LENGTH": "Characters of a message",
    "CHAT_JOIN_RATE": "Joins per user",
    "CHAT_ROOM_RATE": "New rooms per user",
    "CHAT_TYPING_RATE": "Forwarded `typing` of all sockets of a user",
    "CHAT_PRESENCE_RATE": "Immediate `exit` per user and room; further ones wait",
    "CHAT_PRESENCE_MAX_USERS": "Users online in a room up to which all receive `typing`, `join` …",
    "CHAT_RECEIPTS_MAX_MEMBERS": "Members of a room that has receipts",
    "CHAT_SOCKETS_PER_USER": "Open sockets per user",
    "CHAT_SOCKETS_PER_ADDRESS": "Open sockets per address",
    "CHAT_ROOMS_PER_SOCKET": "Rooms that a socket of all rooms follows by itself",
    "CHAT_PENDING_PER_ADDRESS": "Sockets per address that are not signed in",
    "CHAT_CONNECT_RATE": "Sockets that a user opens, and `follow` frames",
    "CHAT_REPLAYS_PER_USER": "Replays under way",
    "CHAT_SEND_BUFFER_PER_USER": "Unread bytes of all sockets of a user",
}


def limits() -> list[Schema]:
    """Returns name, value and description of each limit; the value is null for `off`."""
    fixed = [
        _limit("frame_bytes", MAX_FRAME_LENGTH, "Bytes of UTF-8 in a client frame"),
        _limit("frame_members", MAX_MEMBERS, "Members of a client frame"),
        _limit("resumed_rooms", MAX_RESUMED_ROOMS, "Rooms of one `resume`"),
    ]
    return fixed + [
        _limit(name, getattr(settings, name), description) for name, description in SETTINGS.items()
    ]


def _limit(name: str, value: Rate | int | None, description: str) -> Schema:
    shown = _text_of(value) if isinstance(value, Rate) else value
    return {"name": name, "value": shown, "description": description}


def _text_of(rate: Rate) -> str:
    """Writes a rate as its setting does: `20/s`."""
    (period,) = (name for name, seconds in PERIODS.items() if seconds == rate.seconds)
    return f"{rate.times}/{period}"
