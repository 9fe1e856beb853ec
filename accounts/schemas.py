"""Shapes of the accounts API, and the field types that every app's shapes share.

Nothing here imports Django: the frames of `realtime/protocol.py` are built on the same types.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)

from .names import LONGEST_NAME, check_name


def _no_nul(text: str) -> str:
    # PostgreSQL cannot store it, and nobody types it.
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z` (contract §2)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


LARGEST_ID = 2**63 - 1
Id = Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)]
PathId = Annotated[int, Field(ge=1, le=LARGEST_ID)]
Seq = Annotated[int, Field(strict=True, ge=0, le=LARGEST_ID)]
Text = Annotated[str, AfterValidator(_no_nul)]
Name = Annotated[str, StringConstraints(max_length=4 * LONGEST_NAME), AfterValidator(check_name)]
NameInPath = Annotated[str, StringConstraints(max_length=4 * LONGEST_NAME), AfterValidator(_no_nul)]
Password = Annotated[Text, StringConstraints(min_length=1, max_length=1024)]
Token = Annotated[Text, StringConstraints(max_length=4096)]
Timestamp = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
DisplayName = Annotated[Text, StringConstraints(max_length=100, strip_whitespace=True)]
SearchText = Annotated[Text, StringConstraints(max_length=200)]
Who = Annotated[str, StringConstraints(max_length=4 * LONGEST_NAME), AfterValidator(_no_nul)] | Id
"""A person in a list: a JSON string is a username, an integer an id (contract §2)."""


class Body(BaseModel):
    """Base of what clients send. Unknown members are errors: a typo must not pass in silence."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Answer(BaseModel):
    """Base of what we answer; reads plain objects and models by their attributes."""

    model_config = ConfigDict(from_attributes=True)


class ErrorOut(BaseModel):
    """Every error. `code` is stable, `detail` is for people; 422 adds `errors`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"code": "not_a_member", "detail": "You are not a member of this room"}
        }
    )
    code: str
    detail: str
    errors: list[dict[str, Any]] | None = None


def answers(success: dict[int, Any], *errors: int) -> dict[int, Any]:
    """Ninja's `response` table: the success, and ErrorOut for each status that may come instead.

    429 and 503 stand for all: every operation has a rate (`config.request_rates`), and whatever
    asks the database may find it away or too slow.
    """
    return success | dict.fromkeys((*errors, 429, 503), ErrorOut)


def example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": value})


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
    model_config = example({"refresh": "eyJhbGciOi…"})
    refresh: Token


class TokenIn(Body):
    model_config = example({"token": "eyJhbGciOi…"})
    token: Token


class LogoutIn(Body):
    model_config = example({"everywhere": False})
    refresh: Token | None = None
    everywhere: bool = False


class ProfileIn(Body):
    model_config = example({"display_name": "Ila P."})
    display_name: DisplayName | None = None
    email: Annotated[Text, StringConstraints(max_length=254)] | None = None
    password: Password | None = None


class PasswordIn(Body):
    model_config = example({"old_password": "password123", "new_password": "a longer sentence"})
    old_password: Password
    new_password: Password


class UserOut(Answer):
    id: int
    username: str
    display_name: str


class AccountOut(Answer):
    id: int
    username: str
    email: str


class MeOut(UserOut):
    email: str


class TokensOut(Answer):
    access: str
    refresh: str


class RegisterOut(AccountOut, TokensOut):
    pass


class LoginOut(TokensOut):
    user: AccountOut


class SessionOut(Answer):
    id: int
    created_at: Timestamp
    last_used_at: Timestamp
    user_agent: str
    ip: str | None
    current: bool
