"""Defines the schemas of the accounts API.

Without Django: the frames of `realtime/protocol/` are built on the same types.
"""

from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
)

from .kernel.display_text import display_text
from .kernel.fields import Answer, Body, Name, Text, Timestamp, example
from .quiet_hours import timezone_names

Password = Annotated[Text, StringConstraints(min_length=1, max_length=1024)]
Token = Annotated[Text, StringConstraints(max_length=4096)]
DisplayName = Annotated[
    Text,
    StringConstraints(max_length=100, strip_whitespace=True),
    AfterValidator(display_text(100)),
]


# The users and tokens of all examples. The example token is refused as invalid.
TOKEN_EXAMPLE = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"  # noqa: S105
TOKENS_EXAMPLE = {"access": TOKEN_EXAMPLE, "refresh": TOKEN_EXAMPLE}
ACCOUNT_EXAMPLE = {"id": 1, "username": "ila", "email": "ila@example.com"}
USER_EXAMPLE = {"id": 2, "username": "kaushal", "display_name": "Kaushal"}


class RegisterIn(Body):
    model_config = example(
        {"username": "ila", "email": "ila@example.com", "password": "password123"}
    )
    username: Name | None = None
    email: Annotated[Text, StringConstraints(max_length=254)] | None = None
    password: Password
    password2: Password | None = None


class LoginIn(Body):
    model_config = example({"username": "ila", "password": "password123"})
    username: Annotated[Text, StringConstraints(max_length=256)] | None = None
    email: Annotated[Text, StringConstraints(max_length=256)] | None = None
    password: Password


class RefreshIn(Body):
    model_config = example({"refresh": TOKEN_EXAMPLE})
    refresh: Token


class TokenIn(Body):
    model_config = example({"token": TOKEN_EXAMPLE})
    token: Token


class LogoutIn(Body):
    model_config = example({"everywhere": False})
    refresh: Token | None = None
    everywhere: Annotated[
        bool, Field(description="Also end all other sessions of the account; false by default")
    ] = False


# Not \d: to pydantic it means the digits of all scripts, which `time.fromisoformat` refuses.
TimeOfDay = Annotated[
    Text,
    StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$"),
    Field(description="As `22:00`"),
]
QUIET_HOURS_EXAMPLE = {"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"}


def _known_timezone(name: str) -> str:
    if name not in timezone_names():
        raise ValueError("must be a time zone such as Europe/Berlin")
    return name


class QuietHoursIn(Body):
    """From `start` to `end`, also over midnight."""

    model_config = example(QUIET_HOURS_EXAMPLE)
    start: TimeOfDay
    end: TimeOfDay
    timezone: Annotated[Text, StringConstraints(max_length=64), AfterValidator(_known_timezone)]


class QuietHoursOut(Answer):
    model_config = example(QUIET_HOURS_EXAMPLE)
    start: str
    end: str
    timezone: str


class ProfileIn(Body):
    model_config = example({"display_name": "Ila P."})
    display_name: DisplayName | None = None
    email: Annotated[Text, StringConstraints(max_length=254)] | None = None
    password: Password | None = None
    quiet_hours: Annotated[
        QuietHoursIn | None, Field(description="When no push is sent to you; null for never")
    ] = None
    share_receipts: Annotated[
        bool | None, Field(description="false: you neither share nor see receipts")
    ] = None


class PasswordIn(Body):
    model_config = example({"old_password": "password123", "new_password": "a longer sentence"})
    old_password: Password
    new_password: Password


class UserOut(Answer):
    model_config = example(USER_EXAMPLE)
    id: int
    username: str
    display_name: str


class AccountOut(Answer):
    model_config = example(ACCOUNT_EXAMPLE)
    id: int
    username: str
    email: str


class MeOut(UserOut):
    model_config = example(
        ACCOUNT_EXAMPLE | {"display_name": "Ila P.", "share_receipts": True, "quiet_hours": None}
    )
    email: str
    share_receipts: bool
    quiet_hours: QuietHoursOut | None


class TokensOut(Answer):
    model_config = example(TOKENS_EXAMPLE)
    access: str
    refresh: str


class RegisterOut(AccountOut, TokensOut):
    model_config = example(ACCOUNT_EXAMPLE | TOKENS_EXAMPLE)


class ValidOut(Answer):
    """The empty answer for a valid token."""

    model_config = example({})


class LoginOut(TokensOut):
    model_config = example(TOKENS_EXAMPLE | {"user": ACCOUNT_EXAMPLE})
    user: AccountOut


class SessionOut(Answer):
    model_config = example(
        {
            "id": 1,
            "created_at": "2026-01-31T18:20:05.123Z",
            "last_used_at": "2026-01-31T19:02:41.007Z",
            "user_agent": "Mozilla/5.0",
            "ip": "192.0.2.7",
            "current": True,
        }
    )
    id: int
    created_at: Timestamp
    last_used_at: Timestamp
    user_agent: str
    ip: str | None
    current: bool
