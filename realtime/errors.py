"""Errors that only sockets have. Their close codes are in `close_codes.py`."""

from accounts.kernel.errors import DomainError
from rooms import errors as rooms_errors


class AuthTimeout(DomainError):
    code = "auth_timeout"
    detail = "No token came within 10 seconds"


class Removed(DomainError):
    code = "removed"
    detail = rooms_errors.REMOVED


class TooSlow(DomainError):
    code = "too_slow"
    detail = "This client does not read its frames: reconnect with since"


class TooManyConnections(DomainError):
    code = "too_many_connections"
    detail = "Too many open sockets: close one first"


class TooManyUnreadableFrames(DomainError):
    code = "bad_frame"
    detail = "Too many unreadable frames"


class PersistentlyRateLimited(DomainError):
    code = "rate_limited"
    detail = "Too many frames for too long"
