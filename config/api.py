"""Builds the NinjaAPI: routers, body parser, and the table from errors to HTTP status."""

import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Swagger
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.renderers import JSONRenderer
from pydantic_core import from_json
from typing_extensions import override

from accounts.api import router as accounts_router
from accounts.kernel import errors as accounts_errors
from accounts.kernel.database_errors import migrations_refusal, refusal_of
from accounts.kernel.errors import (
    MAX_ERRORS,
    MAX_MEMBERS,
    TOO_MANY_MEMBERS,
    DomainError,
    Invalid,
    sentence_of,
)
from accounts.kernel.incidents import report_incident
from accounts.kernel.json_answers import encode_json
from messaging import errors as messaging_errors
from messaging.api import router as messaging_router
from rooms import errors as rooms_errors
from rooms.api import router as rooms_router

from . import VERSION
from .middleware import PLAIN
from .request_rates import count_requests

log = logging.getLogger(__name__)

DESCRIPTION = """
To try the operations here, run **Accounts → POST /api/login** (or **POST /api/register**), copy
`access` from the answer, press **Authorize** and paste it.

Every error has a stable `code` for programs and a `detail` for people. Lists come in pages of
`limit`; the `Link` header leads to the next one. Times are in UTC.

### Where the sockets are

| URL | Room |
|---|---|
| `/ws/chat/<room_name>/` | public, made on first use |
| `/ws/chat/group/<room_name>/` | group, members only |
| `/ws/private/<username>/` | you and one other |

Send the token as `Authorization: Bearer`, as subprotocols `bearer, <token>`, as `?token=`, or as
`token` in the first frame. Every frame, with an example, is in
[docs/websocket.md](/docs/websocket.md).
"""

# The HTTP status of each error (contract §2), within a status in the order of the apps.
STATUS: dict[type[DomainError], int] = {
    accounts_errors.NotAuthenticated: 401,
    accounts_errors.TokenInvalid: 401,
    accounts_errors.TokenExpired: 401,
    accounts_errors.SessionEnded: 401,
    accounts_errors.InvalidCredentials: 401,
    accounts_errors.WrongPassword: 403,
    accounts_errors.Forbidden: 403,
    rooms_errors.NotAMember: 403,
    messaging_errors.SenderMismatch: 403,
    messaging_errors.ReceiverMismatch: 403,
    accounts_errors.NoSuchUser: 404,
    accounts_errors.NoSuchSession: 404,
    rooms_errors.NoSuchRoom: 404,
    rooms_errors.NoSuchMember: 404,
    messaging_errors.NoSuchMessage: 404,
    accounts_errors.UsernameTaken: 409,
    accounts_errors.EmailTaken: 409,
    rooms_errors.RoomExists: 409,
    rooms_errors.RoomTooLarge: 409,
    rooms_errors.LastOwner: 409,
    messaging_errors.ClientIdReused: 409,
    messaging_errors.MessageDeleted: 409,
    messaging_errors.TooManyPins: 409,
    messaging_errors.TooManyReactions: 409,
    accounts_errors.Invalid: 422,
    rooms_errors.UnknownUsers: 422,
    accounts_errors.RateLimited: 429,
    accounts_errors.Busy: 503,
}


BAD_JSON = "bad_json"
MAX_ANONYMOUS_BODY = 65_536
"""Bytes of a body without authentication, which no limit per user covers."""


class StrictParser(Parser):
    """Parses JSON by RFC 8259: no NaN, no lone surrogates, limited nesting."""

    @override
    def parse_body(self, request: HttpRequest) -> Any:
        """Parses the body. Ninja wraps each exception in HttpError; `http_error` unwraps it."""
        # Ninja sets `auth` for operations that authenticate.
        if len(request.body) > MAX_ANONYMOUS_BODY and not hasattr(request, "auth"):
            raise RequestDataTooBig
        try:
            body = from_json(request.body, allow_inf_nan=False)
        except ValueError as error:
            raise HttpError(400, f"The body is not JSON: {error}") from error
        if isinstance(body, dict) and len(body) > MAX_MEMBERS:
            raise Invalid(sentence_of(TOO_MANY_MEMBERS), errors=TOO_MANY_MEMBERS)
        return body


class Utf8Renderer(JSONRenderer):
    """Encodes answers by `accounts.kernel.json_answers`."""

    @override
    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return encode_json(data)


api = NinjaAPI(
    title="Chat backend",
    version=VERSION,
    description=DESCRIPTION,
    parser=StrictParser(),
    renderer=Utf8Renderer(),
    docs=Swagger(settings={"persistAuthorization": True, "displayRequestDuration": True}),
)
api.add_decorator(count_requests)
api.add_router("", accounts_router)
api.add_router("", rooms_router)
api.add_router("", messaging_router)


def problem(
    status: int, code: str, detail: str, *, errors: Any = None, retry_after: float | None = None
) -> HttpResponse:
    """Returns an error response; all errors have this shape."""
    body: dict[str, Any] = {"code": code, "detail": detail}
    if errors is not None:
        body["errors"] = errors
    response = api.create_response(None, body, status=status)  # type: ignore[arg-type]
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response["Retry-After"] = str(math.ceil(retry_after or 1))
    return response


@api.exception_handler(DomainError)
def refused(request: HttpRequest, error: DomainError) -> HttpResponse:
    return problem(
        STATUS[type(error)],
        error.code,
        error.message,
        errors=error.errors,
        retry_after=error.retry_after,
    )


def _field(place: Sequence[Any]) -> list[str]:
    """Returns the path of a field as the client knows it.

    Ninja puts its source first and, for a body, the name of our argument; pydantic appends the
    types of a union's members. Clients need neither.
    """
    inner = place[2:] if place[0] == "body" else place[1:]
    return [str(part) for part in inner if isinstance(part, int) or _is_member(part)]


def _is_member(part: str) -> bool:
    return part.isidentifier() and part not in ("str", "int")


@api.exception_handler(ValidationError)
def misshapen(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"loc": _field(item["loc"]), "msg": item["msg"], "type": item["type"]}
        for item in error.errors[:MAX_ERRORS]
    ]
    return problem(422, "invalid", sentence_of(errors), errors=errors)


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, DomainError | RequestDataTooBig):
        return api.on_exception(request, error.__cause__)
    if isinstance(error.__cause__, HttpError):
        error = error.__cause__  # ninja wraps the parser's error in another one
    code = {400: BAD_JSON, 401: "not_authenticated"}.get(error.status_code, "bad_request")
    return problem(error.status_code, code, str(error))


@api.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, *PLAIN[404])


@api.exception_handler(RequestDataTooBig)
def too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem(413, *PLAIN[413])


@api.exception_handler(DatabaseError)
@api.exception_handler(InterfaceError)
def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    missing = migrations_refusal(error)
    if missing is not None:  # already logged, with a clearer message
        return refused(request, missing)
    refusal = refusal_of(error)
    if refusal is None:
        return unforeseen(request, error)
    log.warning("The database did not answer: %s", type(error).__name__)
    return refused(request, refusal)


@api.exception_handler(Exception)
def unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answers 500 without a traceback; response and log have the same incident id."""
    return problem(500, "internal", report_incident(error, f"at {request.path}"))
