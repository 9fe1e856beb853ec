"""All errors of the domain, as one tree.

`code` is stable and for programs, `detail` is for people. `config/api.py` maps each error to an
HTTP status, `realtime/close_codes.py` to a close code; tests fail on an unmapped one.
"""

from collections.abc import Callable
from typing import Any, ClassVar

FieldErrors = list[dict[str, Any]]

MAX_ERRORS = 20
"""So that a request or frame of many faults is not answered with a larger one."""
MAX_SHOWN_ERRORS = 5
MAX_MEMBERS = 32
"""Of one body or frame. No shape has half as many, and each unknown one costs an error."""
TOO_MANY_MEMBERS: FieldErrors = [
    {"loc": [], "msg": f"at most {MAX_MEMBERS} members", "type": "too_many_members"}
]


def sentence_of(errors: FieldErrors) -> str:
    """The first few of them, for people."""
    lines = [
        (".".join(map(str, error["loc"])), error["msg"]) for error in errors[:MAX_SHOWN_ERRORS]
    ]
    return "; ".join(": ".join(filter(None, parts)) for parts in lines)


class DomainError(Exception):
    """Base of the tree. `retry_after` in seconds, `errors` as `[{"loc", "msg", "type"}]`."""

    code: ClassVar[str]
    detail: ClassVar[str]
    retry_after: float | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        retry_after: float | None = None,
        errors: FieldErrors | None = None,
    ) -> None:
        self.message = detail or self.detail
        if retry_after is not None:
            self.retry_after = retry_after
        self.errors = errors
        super().__init__(self.message)


class NotAuthenticated(DomainError):
    code = "not_authenticated"
    detail = "Sign in first: send the header `Authorization: Bearer <access token>`"


class TokenInvalid(DomainError):
    code = "token_invalid"
    detail = "This token is not valid here"


class TokenExpired(DomainError):
    code = "token_expired"
    detail = "This token has expired: refresh it or log in again"


class SessionEnded(DomainError):
    code = "session_ended"
    detail = "This session has ended: log in again"


class InvalidCredentials(DomainError):
    code = "invalid_credentials"
    detail = "No account matches this name and password"


class WrongPassword(DomainError):
    code = "wrong_password"
    detail = "The current password is not right"


class UsernameTaken(DomainError):
    code = "username_taken"
    detail = "This username is taken"


class EmailTaken(DomainError):
    code = "email_taken"
    detail = "This e-mail address has an account already"


class NoSuchUser(DomainError):
    code = "no_such_user"
    detail = "There is no such user"


class NoSuchSession(DomainError):
    code = "no_such_session"
    detail = "You have no such session"


class Forbidden(DomainError):
    code = "forbidden"
    detail = "You may not do this"


class RateLimited(DomainError):
    code = "rate_limited"
    detail = "Too many requests: wait a moment"


class Busy(DomainError):
    code = "busy"
    detail = "The server is busy: try again shortly"
    retry_after = 1.0


class Invalid(DomainError):
    """A value that has the right shape and still breaks a rule; always carries `errors`."""

    code = "invalid"
    detail = "Some values are not valid"


Refusals = dict[Callable[..., Any], list[DomainError]]
"""What the operations of an `api.py` answer besides what all do, for the OpenAPI document.

Errors of any request stand in `config/openapi.py`: bad JSON, a missing token, a rate.
"""


def invalid(field: str, message: str, kind: str = "value_error") -> Invalid:
    """One field's `Invalid`; `field` is the name that the client used."""
    return Invalid(f"{field}: {message}", errors=[{"loc": [field], "msg": message, "type": kind}])
