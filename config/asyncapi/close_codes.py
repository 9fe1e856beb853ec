"""Lists close codes and error codes from `realtime/close_codes.py`."""

from typing import Any, get_args

from realtime.close_codes import CLOSING, REFUSES_A_FRAME, CloseCode, Reconnect
from realtime.protocol.parsing import FrameErrorCode

Schema = dict[str, Any]

INTERNAL = "internal"
LOST, TOO_BIG = 1006, 1009
DESCRIPTIONS: dict[CloseCode, str] = {
    CloseCode.NORMAL: "After `exit`, or you left the room.",
    CloseCode.INTERNAL: "A bug in the server: the message has an incident id.",
    CloseCode.RESTART: "The server restarts, makes you catch up, or cannot admit you now (`busy`).",
    CloseCode.UNREADABLE: "Five unreadable frames within a minute.",
    CloseCode.UNAUTHENTICATED: "The sign-in is missing or invalid, or it has ended.",
    CloseCode.FORBIDDEN: "You may not enter this room, or no longer.",
    CloseCode.NOT_FOUND: "There is no such user or room, or its name is impossible or deleted.",
    CloseCode.TOO_SLOW: "You do not read fast enough.",
    CloseCode.TOO_MANY: "Too many requests, or too many open sockets.",
}
"""What happened, for people."""
OF_THE_TRANSPORT: list[Schema] = [
    {
        "code": LOST,
        "name": "connection_lost",
        "errors": [],
        "reconnect": Reconnect.WITH_SINCE.name.lower(),
        "description": "The connection was lost: no close frame came.",
    },
    {
        "code": TOO_BIG,
        "name": "frame_too_big",
        "errors": [],
        "reconnect": Reconnect.WITH_SINCE.name.lower(),
        "description": "Your frame was far too large: do not send it again. Slightly larger "
        "ones get an `error`.",
    },
]


def close_codes() -> list[Schema]:
    """Returns each close code with the errors before it and how to reconnect."""
    ours = [
        {
            "code": int(close),
            "name": close.name.lower(),
            "errors": _errors_before(close),
            "reconnect": close.reconnect.name.lower(),
            "description": DESCRIPTIONS[close],
        }
        for close in CloseCode
    ]
    return sorted([*OF_THE_TRANSPORT, *ours], key=lambda entry: entry["code"])


def error_codes() -> list[str]:
    """Returns every `code` of an `error` frame."""
    closing = {error.code for error in CLOSING}
    refusing = {error.code for error in REFUSES_A_FRAME}
    return sorted(closing | refusing | set(get_args(FrameErrorCode)) | {INTERNAL})


def _errors_before(close: CloseCode) -> list[str]:
    codes = {error.code for error, code in CLOSING.items() if code is close}
    return sorted(codes | ({INTERNAL} if close is CloseCode.INTERNAL else set()))
