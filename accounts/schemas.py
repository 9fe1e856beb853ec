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
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

from .kernel.display_text import display_text
from .kernel.names import MAX_NAME_LENGTH, check_name


def _no_nul(text: str) -> str:
    # PostgreSQL cannot store it, and nobody types it.
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z` (contract §2)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


MAX_ID = 2**63 - 1
Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]
PathId = Annotated[int, Field(ge=1, le=MAX_ID)]
Seq = Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]
Text = Annotated[str, AfterValidator(_no_nul)]
Name = Annotated[str, StringConstraints(max_length=4 * MAX_NAME_LENGTH), AfterValidator(check_name)]
NameInPath = Annotated[
    str, StringConstraints(max_length=4 * MAX_NAME_LENGTH), AfterValidator(_no_nul)
]
Password = Annotated[Text, StringConstraints(min_length=1, max_length=1024)]
Token = Annotated[Text, StringConstraints(max_length=4096)]
Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
DisplayName = Annotated[
    Text,
    StringConstraints(max_length=100, strip_whitespace=True),
    AfterValidator(display_text(100)),
]
SearchText = Annotated[Text, StringConstraints(max_length=200)]
UserRef = (
    Annotated[str, StringConstraints(max_length=4 * MAX_NAME_LENGTH), AfterValidator(_no_nul)] | Id
)
"""A person in a list: a JSON string is a username, an integer an id (contract §2)."""


class Body(BaseModel):
    """Base of what clients send. Unknown members are errors: a typo must not pass in silence."""

    model_config = ConfigDict(strict=True, extra="forbid")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Omits defaults: openapi-typescript takes a member that has one for required.

        Descriptions state them instead.
        """
        schema = handler(core_schema)
        for member in handler.resolve_ref_schema(schema)["properties"].values():
            member.pop("default", None)
        return schema


class Answer(BaseModel):
    """Base of what we answer; reads plain objects and models by their attributes."""

    model_config = ConfigDict(from_attributes=True)


class FieldErrorOut(BaseModel):
    """One value that breaks a rule. `loc` is the way to it, `msg` is for people."""

    loc: list[str]
    msg: str
    type: str


class ErrorOut(BaseModel):
    """Every error. `code` is stable, `detail` is for people; 422 adds `errors`."""

    code: str  # one of those that `config/openapi.py` lists in the document: it knows all apps
    detail: str
    errors: list[FieldErrorOut] | SkipJsonSchema[None] = None


def answers(success: dict[int, Any], *errors: int) -> dict[int, Any]:
    """Ninja's `response` table: the success, and ErrorOut for each status that may come instead.

    429 and 503 stand for all: every operation has a rate (`config.request_rates`), and whatever
    asks the database may find it away or too slow.
    """
    return success | dict.fromkeys((*errors, 429, 503), ErrorOut)


def example(value: dict[str, Any]) -> ConfigDict:
    """What the OpenAPI document shows. Each class has its own: a subclass inherits a wrong one."""
    return ConfigDict(json_schema_extra={"example": value})


# The people and tokens of all examples. A token from the document is refused, as any made-up one.
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
    model_config = example(ACCOUNT_EXAMPLE | {"display_name": "Ila P."})
    email: str


class TokensOut(Answer):
    model_config = example(TOKENS_EXAMPLE)
    access: str
    refresh: str


class RegisterOut(AccountOut, TokensOut):
    model_config = example(ACCOUNT_EXAMPLE | TOKENS_EXAMPLE)


class ValidOut(Answer):
    """A token that is good; there is nothing more to say."""

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
