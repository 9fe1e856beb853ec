"""Defines the errors that only sockets have. Close codes: `close_codes.py`."""

from accounts.kernel.errors import DomainError
from rooms import errors as rooms_errors


class AuthTimeout(DomainError):
    code = "auth_timeout"
    detail = "No token received within 10 seconds"


class Removed(DomainError):
    code = "removed"
    detail = rooms_errors.REMOVED


class TooSlow(DomainError):
    code = "too_slow"
    detail = "This client reads too slowly: reconnect with since"


class TooManyConnections(DomainError):
    code = "too_many_connections"
    detail = "Too many open sockets: close one first"


class TooManyUnreadableFrames(DomainError):
    code = "bad_frame"
    detail = "Too many unreadable frames"


class PersistentlyRateLimited(DomainError):
    code = "rate_limited"
    detail = "Too many frames for too long"
