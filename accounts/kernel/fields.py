"""Defines field types and base classes of requests and answers for all apps.

Without Django: the frames of `realtime/protocol/` are built on the same types.
"""

from datetime import MAXYEAR, UTC, datetime
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
from typing_extensions import override

from .names import MAX_NAME_LENGTH, check_name


def _no_nul(text: str) -> str:
    # PostgreSQL cannot store NUL.
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


def rfc3339(moment: datetime) -> str:
    """Formats a time as RFC 3339 in UTC with milliseconds and `Z` (contract §2)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def stored_rfc3339(moment: datetime) -> str:
    """Returns the same of a moment as a cursor returns it.

    SQLite's has no zone and is in UTC.
    """
    if moment.tzinfo is None:
        return moment.isoformat(timespec="milliseconds") + "Z"
    return rfc3339(moment)


MAX_ID = 2**63 - 1


Id = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]


PathId = Annotated[int, Field(ge=1, le=MAX_ID)]


Seq = Annotated[int, Field(strict=True, ge=0, le=MAX_ID)]


Text = Annotated[str, AfterValidator(_no_nul)]


Name = Annotated[str, StringConstraints(max_length=4 * MAX_NAME_LENGTH), AfterValidator(check_name)]


NameInPath = Annotated[
    str, StringConstraints(max_length=4 * MAX_NAME_LENGTH), AfterValidator(_no_nul)
]


Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


def _in_utc(moment: datetime) -> datetime:
    """A time without zone is in UTC. Raises ValueError near the ends of the calendar."""
    if not 1 < moment.year < MAXYEAR:
        raise ValueError("must be a year from 2 to 9998")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, Field(strict=False), AfterValidator(_in_utc)]
"""A time of a client: RFC 3339, or a date, which is its first moment."""


SearchText = Annotated[Text, StringConstraints(max_length=200)]


UserRef = (
    Annotated[str, StringConstraints(max_length=4 * MAX_NAME_LENGTH), AfterValidator(_no_nul)] | Id
)
"""A user in a list: a JSON string is a username, an integer an id (contract §2)."""


class Body(BaseModel):
    """The base of request bodies.

    Unknown members are errors, so that a typo is reported.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    @classmethod
    @override
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Omits defaults: openapi-typescript makes a member with a default required.

        Descriptions state the defaults instead.
        """
        schema = handler(core_schema)
        for member in handler.resolve_ref_schema(schema)["properties"].values():
            member.pop("default", None)
        return schema


class Answer(BaseModel):
    """The base of answers; reads plain objects and models by their attributes."""

    model_config = ConfigDict(from_attributes=True)


class FieldErrorOut(BaseModel):
    """One value that breaks a rule. `loc` is its path, `msg` is for people."""

    loc: list[str]
    msg: str
    type: str


class ErrorOut(BaseModel):
    """The answer of every error.

    `code` is stable, `detail` is for people; 422 adds `errors`.
    """

    code: str  # `config/openapi.py` lists the codes of all apps
    detail: str
    errors: list[FieldErrorOut] | SkipJsonSchema[None] = None


def answers(success: dict[int, Any], *errors: int) -> dict[int, Any]:
    """Returns Ninja's `response` table: the success, and the statuses of errors.

    429 and 503 are always included: every operation has a rate (`config.request_rates`), and the
    database may be down or too slow. Errors have no shape here: Ninja would make a class for each
    status of each operation, which took 0.08 s and 4 MB of every process. No view returns one, and
    `config.openapi` documents all as ErrorOut.
    """
    return success | dict.fromkeys((*errors, 429, 503))


def example(value: dict[str, Any]) -> ConfigDict:
    """Sets the example of the OpenAPI document. Subclasses need their own."""
    return ConfigDict(json_schema_extra={"example": value})
