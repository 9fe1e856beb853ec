"""Serves ninja's OpenAPI document, completed for readers and generators.

The data is beside the code: summaries and descriptions are docstrings of the operations, examples
are in the schemas, error responses in `REFUSALS` of each `api.py`, their statuses in `STATUS`.
"""

import functools
import inspect
import json
import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.operation import Operation
from ninja.schema import NinjaGenerateJsonSchema
from pydantic import TypeAdapter
from typing_extensions import override

from accounts.api import REFUSALS as ACCOUNTS_REFUSALS
from accounts.kernel import errors as accounts_errors
from accounts.kernel.errors import DomainError, Refusals
from accounts.kernel.fields import ErrorOut
from messaging import errors as messaging_errors
from messaging.api import REFUSALS as MESSAGING_REFUSALS
from messaging.attachments.api import REFUSALS as ATTACHMENTS_REFUSALS
from messaging.changes_api import REFUSALS as CHANGES_REFUSALS
from messaging.push.api import REFUSALS as PUSH_REFUSALS
from messaging.search.api import REFUSALS as SEARCH_REFUSALS
from rooms.api import REFUSALS as ROOMS_REFUSALS

from .api import api
from .documents import Document, compact_json
from .error_answers import BAD_JSON, PLAIN, STATUS

Schema = dict[str, Any]

REFUSALS: Refusals = (
    ACCOUNTS_REFUSALS
    | ROOMS_REFUSALS
    | MESSAGING_REFUSALS
    | CHANGES_REFUSALS
    | SEARCH_REFUSALS
    | ATTACHMENTS_REFUSALS
    | PUSH_REFUSALS
)
SOCKET_ONLY: set[type[DomainError]] = {messaging_errors.ReceiverMismatch}
CODES = sorted(
    {error.code for error in STATUS.keys() - SOCKET_ONLY}
    | {code for code, _ in PLAIN.values()}
    | {BAD_JSON}
)
"""Every `code` of an error response."""

TAGS = {
    "Accounts": "Registration, login and tokens, your profile, your sessions, other users.",
    "Rooms": "Public rooms, groups and private rooms, and who belongs to them.",
    "Messages": "Reading, sending, changing and finding messages; reactions, pins and read marks.",
    "Files": "Uploading files for messages, and downloading them.",
    "Push": "Web Push to browsers of users who are away.",
}
WITH_TOKEN = [
    accounts_errors.NotAuthenticated(),
    accounts_errors.TokenInvalid(),
    accounts_errors.TokenExpired(),
    accounts_errors.SessionEnded(),
]
DESCRIPTIONS = {
    400: "The body is not JSON.",
    401: "The credentials are missing or no longer good.",
    403: "You may not do this.",
    404: "It does not exist, or you may not see it.",
    409: "This conflicts with the present state; `code` says how.",
    413: "The file is too large.",
    415: "Files of this type are not accepted.",
    416: "The file ends before the `Range`.",
    422: "A value breaks a rule; `errors` says which.",
    429: "Too many requests: wait for the seconds in `Retry-After`.",
    503: "The server is busy: try again after the seconds in `Retry-After`.",
    507: "Your files need more space than you have.",
}
KNOWN = {
    "Messages": "This `client_id` was sent before: the message as it is now.",
    "Push": "This endpoint was known: the subscription belongs to this session now.",
}
"""Descriptions of a 200 beside a 201, by tag."""
HEADERS: dict[str, Schema] = {
    "Link": {
        "description": "The pages around this one: `next` and `prev` (RFC 8288)",
        "schema": {"type": "string"},
        "example": '</api/rooms?cursor=WyJuIiw1MF0&limit=50>; rel="next"',
    },
    "Retry-After": {
        "description": "Seconds to wait",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 1,
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750)",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
        "example": "Bearer",
    },
}
FORM = "multipart/form-data"
CUT_OFF = "EOF while parsing an object at line 1 column 1"
HEADERS_OF_STATUS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


class ChatSchema(OpenAPISchema):
    """Completes ninja's document for readers, Postman and client generators."""

    def __init__(self) -> None:
        super().__init__(api, api.get_root_path({}))
        self["info"] |= {
            "contact": {"name": "The operator of this server"},
            "license": {"name": "MIT", "identifier": "MIT"},
        }
        self["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
        self["security"] = [{"Bearer": []}]
        self["components"]["headers"] = HEADERS
        self["components"]["securitySchemes"]["Bearer"]["description"] = (
            "The `access` token of a login or a registration"
        )
        self["components"]["securitySchemes"]["MediaKey"]["description"] = (
            "The `key` of POST /api/users/me/media-key: for addresses of files only"
        )
        self.schemas["ErrorOut"]["properties"]["code"]["enum"] = CODES
        del self["servers"]

    @override
    def operation_details(self, operation: Operation) -> Schema:
        details = super().operation_details(operation)
        summary, _, description = (operation.description or "").partition("\n\n")
        details["operationId"] = _camel_case(operation.view_func.__name__)
        details["summary"] = " ".join(summary.split()).removesuffix(".")
        details["description"] = description
        # The header first: importers such as Postman take the first way to sign in.
        schemes: list[Schema] = details.get("security", [])
        details["security"] = sorted(schemes, key=lambda scheme: "Bearer" not in scheme)
        for status, response in details["responses"].items():
            self._complete(response, status, operation, details)
        return details

    @override
    def add_schema_definitions(self, definitions: Schema) -> None:
        """Restores the schema's order of members in examples; pydantic sorts by name."""
        for schema in definitions.values():
            if example := schema.get("example"):
                members = schema.get("properties", ())
                schema["example"] = {name: example[name] for name in members if name in example}
        super().add_schema_definitions(definitions)

    def _complete(
        self, response: Schema, status: int, operation: Operation, details: Schema
    ) -> None:
        response["description"] = DESCRIPTIONS.get(status, response["description"])
        if status == HTTPStatus.OK and HTTPStatus.CREATED in details["responses"]:
            response["description"] = KNOWN[details["tags"][0]]
        if header := HEADERS_OF_STATUS.get(status) or _header_of_pages(status, details):
            response["headers"] = {header: {"$ref": f"#/components/headers/{header}"}}
        if status in DESCRIPTIONS:
            errors = _errors(status, operation, details, self.schemas)
            examples = {body["code"]: _example(body) for body in errors}
            media = {"schema": self._error_schema(), "examples": examples}
            response["content"] = {"application/json": media}
            return
        for media in response.get("content", {}).values():
            if media["schema"].get("format") != "binary":
                media["example"] = self._example_of(media["schema"])

    def _error_schema(self) -> Schema:
        """Returns a reference to ErrorOut, which the first call adds to the components."""
        if "ErrorOut" not in self.schemas:
            schema = TypeAdapter(ErrorOut).json_schema(
                ref_template=REF_TEMPLATE, schema_generator=NinjaGenerateJsonSchema
            )
            self.add_schema_definitions(schema.pop("$defs") | {"ErrorOut": schema})
        return {"$ref": REF_TEMPLATE.format(model="ErrorOut")}

    def _example_of(self, schema: Schema) -> Any:
        if schema.get("type") == "array":
            return [self._example_of(schema["items"])]
        return self.schemas[_name_of(schema)]["example"]


def _camel_case(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _name_of(schema: Schema) -> str:
    """Returns the name of the referenced component, also of a nullable one."""
    (name,) = re.findall(r"#/components/schemas/(\w+)", json.dumps(schema))
    return str(name)


def _example(body: Schema) -> Schema:
    return {"summary": body["detail"], "value": body}


def _header_of_pages(status: int, details: Schema) -> str | None:
    paged = any(parameter["name"] == "limit" for parameter in details["parameters"])
    return "Link" if paged and status == HTTPStatus.OK else None


def _errors(
    status: int, operation: Operation, details: Schema, schemas: Schema
) -> Iterator[Schema]:
    """Yields one body for each `code` of this operation with this status."""
    if status == HTTPStatus.BAD_REQUEST:
        yield _bad_body(details)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        yield _body(_misshapen(details, schemas))
    refusals: Iterable[DomainError] = REFUSALS.get(inspect.unwrap(operation.view_func), [])
    if operation.auth_callbacks:
        refusals = [*WITH_TOKEN, *refusals]
    for error in (*refusals, accounts_errors.RateLimited(), accounts_errors.Busy()):
        if STATUS[type(error)] == status:
            yield _body(error)


def _bad_body(details: Schema) -> Schema:
    if FORM in details["requestBody"]["content"]:
        code, detail = PLAIN[HTTPStatus.BAD_REQUEST]
        return {"code": code, "detail": detail}
    return {"code": BAD_JSON, "detail": f"The body is not JSON: {CUT_OFF}"}


def _body(error: DomainError) -> Schema:
    body: Schema = {"code": error.code, "detail": error.message}
    return body | ({"errors": error.errors} if error.errors else {})


def _misshapen(details: Schema, schemas: Schema) -> DomainError:
    """Returns an example of a 422: a missing field, or a number that is too low."""
    if FORM in details.get("requestBody", {}).get("content", ()):
        return accounts_errors.invalid("file", "Field required", "missing")
    if "requestBody" in details:
        body = schemas[_name_of(details["requestBody"]["content"]["application/json"]["schema"])]
        for name in body.get("required", ()):
            return accounts_errors.invalid(name, "Field required", "missing")
        return accounts_errors.invalid(
            "unknown", "Extra inputs are not permitted", "extra_forbidden"
        )
    for parameter in sorted(
        details["parameters"], key=lambda candidate: candidate["name"] != "limit"
    ):
        if "minimum" in parameter["schema"]:
            least = parameter["schema"]["minimum"]
            return accounts_errors.invalid(
                parameter["name"],
                f"Input should be greater than or equal to {least}",
                "greater_than_equal",
            )
    (parameter,) = details["parameters"]
    most = parameter["schema"]["maxLength"]
    return accounts_errors.invalid(
        parameter["name"], f"String should have at most {most} characters", "string_too_long"
    )


@functools.cache
def document() -> Schema:
    """Builds the document without `servers`, once: it takes 0.3 s of CPU."""
    return ChatSchema()


def _encode(scheme: str, host: str) -> bytes:
    return compact_json(document() | {"servers": [{"url": f"{scheme}://{host}"}]})


_served = Document("application/json", _encode)


@csrf_exempt  # so that other methods answer 405, not the HTML page of a CSRF failure
@require_safe
async def openapi_json(request: HttpRequest) -> HttpResponse:
    """Answers with the document; `servers` has the origin of the request."""
    return await _served.answer(request)
