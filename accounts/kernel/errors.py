"""Defines the errors of the domain, as one tree.

`code` is stable and for programs, `detail` is for people. `config/error_answers.py` maps each
error to an HTTP status, `realtime/close_codes.py` to a close code; tests fail on an unmapped error.
"""

from collections.abc import Callable
from typing import Any, ClassVar

FieldErrors = list[dict[str, Any]]

MAX_ERRORS = 20
"""Keeps the answer to a request or frame with many errors small."""
MAX_SHOWN_ERRORS = 5
MAX_MEMBERS = 32
"""Of one body or frame. No schema has half as many, and each unknown member costs an error."""
TOO_MANY_MEMBERS: FieldErrors = [
    {"loc": [], "msg": f"at most {MAX_MEMBERS} members", "type": "too_many_members"}
]


def sentence_of(errors: FieldErrors) -> str:
    """Returns the first few errors as one sentence for people."""
    lines = [
        (".".join(map(str, error["loc"])), error["msg"]) for error in errors[:MAX_SHOWN_ERRORS]
    ]
    return "; ".join(": ".join(filter(None, parts)) for parts in lines)


class DomainError(Exception):
    """The base of the tree.

    `retry_after` is in seconds, `errors` is `[{"loc", "msg", "type"}]`.
    """

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
    detail = "Invalid token"


class TokenExpired(DomainError):
    code = "token_expired"
    detail = "Token expired: refresh it or log in again"


class SessionEnded(DomainError):
    code = "session_ended"
    detail = "This session has ended: log in again"


class InvalidCredentials(DomainError):
    code = "invalid_credentials"
    detail = "Wrong username or password"


class WrongPassword(DomainError):
    code = "wrong_password"
    detail = "Wrong password"


class UsernameTaken(DomainError):
    code = "username_taken"
    detail = "This username is taken"


class EmailTaken(DomainError):
    code = "email_taken"
    detail = "This e-mail address is already in use"


class NoSuchUser(DomainError):
    code = "no_such_user"
    detail = "User not found"


class NoSuchSession(DomainError):
    code = "no_such_session"
    detail = "Session not found"


class Forbidden(DomainError):
    code = "forbidden"
    detail = "You are not allowed to do this"


class RateLimited(DomainError):
    code = "rate_limited"
    detail = "Too many requests: try again later"


class Busy(DomainError):
    code = "busy"
    detail = "The server is busy: try again shortly"
    retry_after = 1.0


class Invalid(DomainError):
    """A value of the right shape that breaks a rule; always has `errors`."""

    code = "invalid"
    detail = "Some values are invalid"


Refusals = dict[Callable[..., Any], list[DomainError]]
"""The errors of each operation of an `api.py`, for the OpenAPI document.

`config/openapi.py` adds the errors of every request: bad JSON, a missing token, a rate.
"""


def invalid(field: str, message: str, kind: str = "value_error") -> Invalid:
    """Returns `Invalid` for one field, by the name that the client used."""
    return Invalid(f"{field}: {message}", errors=[{"loc": [field], "msg": message, "type": kind}])
