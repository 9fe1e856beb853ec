"""Maps each error to the close code of a socket (contract §3)."""

from enum import Enum, IntEnum
from typing import Self

from accounts.kernel import errors as accounts_errors
from accounts.kernel.errors import DomainError
from messaging import errors as messaging_errors
from messaging.attachments import errors as attachments_errors
from messaging.push import errors as push_errors
from rooms import errors as rooms_errors

from . import errors

RECONNECT_DELAY = 10.0
"""Seconds in `retry_after` of `too_many_connections`: nothing predicts when a socket closes."""


class Reconnect(Enum):
    """Whether and how a client reconnects after a close."""

    NO = "no"
    WITH_SINCE = "with since"
    WITH_NEW_TOKEN = "with a new token"  # noqa: S105
    AFTER_DELAY = "after retry_after"


class CloseCode(IntEnum):
    """WebSocket close codes, each with what the client does next."""

    reconnect: Reconnect

    def __new__(cls, code: int, reconnect: Reconnect) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.reconnect = reconnect
        return member

    NORMAL = 1000, Reconnect.NO
    INTERNAL = 1011, Reconnect.WITH_SINCE
    RESTART = 1012, Reconnect.WITH_SINCE
    UNREADABLE = 4400, Reconnect.NO
    UNAUTHENTICATED = 4401, Reconnect.WITH_NEW_TOKEN
    FORBIDDEN = 4403, Reconnect.NO
    NOT_FOUND = 4404, Reconnect.NO
    TOO_SLOW = 4408, Reconnect.WITH_SINCE
    TOO_MANY = 4429, Reconnect.AFTER_DELAY


# Errors after which a socket closes: all during the handshake, some later (`ENDS_AN_OPEN_SOCKET`).
CLOSING: dict[type[DomainError], CloseCode] = {
    accounts_errors.NotAuthenticated: CloseCode.UNAUTHENTICATED,
    accounts_errors.TokenInvalid: CloseCode.UNAUTHENTICATED,
    accounts_errors.TokenExpired: CloseCode.UNAUTHENTICATED,
    accounts_errors.SessionEnded: CloseCode.UNAUTHENTICATED,
    errors.AuthTimeout: CloseCode.UNAUTHENTICATED,
    accounts_errors.Forbidden: CloseCode.FORBIDDEN,
    rooms_errors.NotAMember: CloseCode.FORBIDDEN,
    errors.Removed: CloseCode.FORBIDDEN,
    accounts_errors.NoSuchUser: CloseCode.NOT_FOUND,
    rooms_errors.NoSuchRoom: CloseCode.NOT_FOUND,
    accounts_errors.RateLimited: CloseCode.TOO_MANY,
    errors.TooManyConnections: CloseCode.TOO_MANY,
    errors.PersistentlyRateLimited: CloseCode.TOO_MANY,
    errors.TooSlow: CloseCode.TOO_SLOW,
    errors.TooManyUnreadableFrames: CloseCode.UNREADABLE,
    # The client reconnects, as after a restart.
    accounts_errors.Busy: CloseCode.RESTART,
}

# Errors that refuse a frame and leave the socket open; NotAMember and NoSuchRoom only on
# `/ws/events/`.
REFUSES_A_FRAME: frozenset[type[DomainError]] = frozenset(
    {
        accounts_errors.Invalid,
        accounts_errors.RateLimited,
        accounts_errors.Busy,
        accounts_errors.Forbidden,
        messaging_errors.SenderMismatch,
        messaging_errors.ReceiverMismatch,
        messaging_errors.ClientIdReused,
        rooms_errors.NotAMember,
        rooms_errors.NoSuchRoom,
    }
)

# No handshake raises these; a code for each keeps the table complete.
_NOT_CLOSING: tuple[type[DomainError], ...] = (
    accounts_errors.Invalid,
    accounts_errors.InvalidCredentials,
    accounts_errors.WrongPassword,
    accounts_errors.UsernameTaken,
    accounts_errors.EmailTaken,
    accounts_errors.NoSuchSession,
    rooms_errors.RoomExists,
    rooms_errors.UnknownUsers,
    rooms_errors.NoSuchMember,
    rooms_errors.RoomTooLarge,
    rooms_errors.LastOwner,
    messaging_errors.NoSuchMessage,
    messaging_errors.MessageDeleted,
    messaging_errors.SenderMismatch,
    messaging_errors.ReceiverMismatch,
    messaging_errors.ClientIdReused,
    messaging_errors.TooManyPins,
    messaging_errors.TooManyReactions,
    attachments_errors.NoSuchAttachment,
    attachments_errors.AttachmentInUse,
    attachments_errors.TooLarge,
    attachments_errors.UnsupportedType,
    attachments_errors.RangeNotSatisfiable,
    attachments_errors.QuotaExceeded,
    push_errors.PushOff,
    push_errors.NoSuchSubscription,
    push_errors.EndpointInUse,
    push_errors.TooManySubscriptions,
)

CLOSE_CODES: dict[type[DomainError], CloseCode] = (
    dict.fromkeys(_NOT_CLOSING, CloseCode.FORBIDDEN) | CLOSING
)

# Only these close an open socket. Any other error is sent as a frame.
ENDS_AN_OPEN_SOCKET: frozenset[type[DomainError]] = frozenset(
    {
        accounts_errors.NotAuthenticated,
        accounts_errors.TokenInvalid,
        accounts_errors.TokenExpired,
        accounts_errors.SessionEnded,
        rooms_errors.NotAMember,
        rooms_errors.NoSuchRoom,
        errors.Removed,
        errors.TooSlow,
        errors.TooManyUnreadableFrames,
        errors.PersistentlyRateLimited,
    }
)

# On a socket of all rooms these end one of its rooms, or refuse a frame.
ENDS_A_ROOM: frozenset[type[DomainError]] = frozenset(
    {rooms_errors.NotAMember, rooms_errors.NoSuchRoom, errors.Removed}
)
