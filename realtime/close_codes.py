"""What each refusal is on a socket: the end of it, or an error frame only (contract §3)."""

from accounts.kernel import errors as accounts_errors
from accounts.kernel.errors import DomainError
from messaging import errors as messaging_errors
from rooms import errors as rooms_errors

NORMAL = 1000
INTERNAL = 1011
RESTART = 1012
UNREADABLE = 4400
UNAUTHENTICATED = 4401
FORBIDDEN = 4403
NOT_FOUND = 4404
TOO_SLOW = 4408
TOO_MANY = 4429

RECONNECT_DELAY = 10.0
"""Seconds that a socket too many is told to wait: nobody knows when another one closes."""


class AuthTimeout(DomainError):
    code = "auth_timeout"
    detail = "No token came within 10 seconds"


class Removed(DomainError):
    code = "removed"
    detail = rooms_errors.REMOVED


class TooSlow(DomainError):
    code = "too_slow"
    detail = "This client does not read what it is sent: reconnect with since"


class TooManyConnections(DomainError):
    code = "too_many_connections"
    detail = "Too many open sockets: close one first"


class TooManyUnreadableFrames(DomainError):
    code = "bad_frame"
    detail = "Too many unreadable frames"


class PersistentlyRateLimited(DomainError):
    code = "rate_limited"
    detail = "Too many frames for too long"


# With which code a refusal closes: any one while the socket is being let in.
CLOSE_CODES: dict[type[DomainError], int] = {
    accounts_errors.NotAuthenticated: UNAUTHENTICATED,
    accounts_errors.TokenInvalid: UNAUTHENTICATED,
    accounts_errors.TokenExpired: UNAUTHENTICATED,
    accounts_errors.SessionEnded: UNAUTHENTICATED,
    accounts_errors.InvalidCredentials: UNAUTHENTICATED,
    accounts_errors.WrongPassword: UNAUTHENTICATED,
    AuthTimeout: UNAUTHENTICATED,
    accounts_errors.Forbidden: FORBIDDEN,
    rooms_errors.NotAMember: FORBIDDEN,
    Removed: FORBIDDEN,
    accounts_errors.NoSuchUser: NOT_FOUND,
    rooms_errors.NoSuchRoom: NOT_FOUND,
    accounts_errors.RateLimited: TOO_MANY,
    TooManyConnections: TOO_MANY,
    PersistentlyRateLimited: TOO_MANY,
    TooSlow: TOO_SLOW,
    TooManyUnreadableFrames: UNREADABLE,
    # Come back, as after a restart.
    accounts_errors.Busy: RESTART,
    # These cannot happen at the door; were they to, nobody is let in.
    accounts_errors.Invalid: FORBIDDEN,
    accounts_errors.UsernameTaken: FORBIDDEN,
    accounts_errors.EmailTaken: FORBIDDEN,
    accounts_errors.NoSuchSession: FORBIDDEN,
    rooms_errors.RoomExists: FORBIDDEN,
    rooms_errors.UnknownUsers: FORBIDDEN,
    rooms_errors.NoSuchMember: FORBIDDEN,
    rooms_errors.LastOwner: FORBIDDEN,
    messaging_errors.NoSuchMessage: FORBIDDEN,
    messaging_errors.MessageDeleted: FORBIDDEN,
    messaging_errors.SenderMismatch: FORBIDDEN,
    messaging_errors.ReceiverMismatch: FORBIDDEN,
    messaging_errors.ClientIdReused: FORBIDDEN,
    messaging_errors.TooManyReactions: FORBIDDEN,
}

# Once it is open, only these end it; any other refusal is answered and the socket stays.
ENDS_AN_OPEN_SOCKET: frozenset[type[DomainError]] = frozenset(
    {
        accounts_errors.NotAuthenticated,
        accounts_errors.TokenInvalid,
        accounts_errors.TokenExpired,
        accounts_errors.SessionEnded,
        rooms_errors.NotAMember,
        rooms_errors.NoSuchRoom,
        Removed,
        TooSlow,
        TooManyUnreadableFrames,
        PersistentlyRateLimited,
    }
)
