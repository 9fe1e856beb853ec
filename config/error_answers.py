"""Answers every REST error as `{code, detail}`, with its status and headers.

`as_json` gives the same shape to answers that Django makes by itself.
"""

import logging
import math
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from accounts.kernel import errors as accounts_errors
from accounts.kernel.database_errors import migrations_refusal, refusal_of
from accounts.kernel.errors import MAX_ERRORS, DomainError, sentence_of
from accounts.kernel.incidents import report_incident
from accounts.kernel.json_answers import encode_json
from messaging import errors as messaging_errors
from messaging.attachments import errors as attachments_errors
from messaging.push import errors as push_errors
from rooms import errors as rooms_errors

log = logging.getLogger(__name__)

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
    attachments_errors.NoSuchAttachment: 404,
    push_errors.PushOff: 404,
    push_errors.NoSuchSubscription: 404,
    accounts_errors.UsernameTaken: 409,
    accounts_errors.EmailTaken: 409,
    rooms_errors.RoomExists: 409,
    rooms_errors.RoomTooLarge: 409,
    rooms_errors.LastOwner: 409,
    messaging_errors.ClientIdReused: 409,
    messaging_errors.MessageDeleted: 409,
    messaging_errors.TooManyPins: 409,
    messaging_errors.TooManyReactions: 409,
    attachments_errors.AttachmentInUse: 409,
    push_errors.EndpointInUse: 409,
    push_errors.TooManySubscriptions: 409,
    attachments_errors.TooLarge: 413,
    attachments_errors.UnsupportedType: 415,
    attachments_errors.RangeNotSatisfiable: 416,
    accounts_errors.Invalid: 422,
    rooms_errors.UnknownUsers: 422,
    accounts_errors.RateLimited: 429,
    accounts_errors.Busy: 503,
    attachments_errors.QuotaExceeded: 507,
}

BAD_JSON = "bad_json"
JSON = "application/json; charset=utf-8"
OF_BODY = ("Content-Type", "Content-Length")
# Errors that Django or Ninja answer without our error handlers.
PLAIN = {
    400: ("bad_request", "This request cannot be read"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("request_timeout", "The body of this request did not arrive in time"),
    413: ("too_large", "This request is too large"),
    500: ("internal", "Internal server error"),
}


def problem(
    status: int, code: str, detail: str, *, errors: Any = None, retry_after: float | None = None
) -> HttpResponse:
    """Returns an error response; all errors have this shape."""
    body: dict[str, Any] = {"code": code, "detail": detail}
    if errors is not None:
        body["errors"] = errors
    response = HttpResponse(encode_json(body), status=status, content_type=JSON)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response["Retry-After"] = str(math.ceil(retry_after or 1))
    return response


def as_json(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Turns Django's own error page into JSON for a request of the API."""
    if response.status_code not in PLAIN or not request.path_info.startswith("/api"):
        return response
    if response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    code, detail = PLAIN[response.status_code]
    answer = JsonResponse({"code": code, "detail": detail}, status=response.status_code)
    for name, value in response.headers.items():
        if name not in OF_BODY:
            answer.headers[name] = value
    answer.headers["Content-Length"] = str(len(answer.content))
    return answer


def refused(_: HttpRequest, error: DomainError) -> HttpResponse:
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


def misshapen(_: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"loc": _field(item["loc"]), "msg": item["msg"], "type": item["type"]}
        for item in error.errors[:MAX_ERRORS]
    ]
    return problem(422, "invalid", sentence_of(errors), errors=errors)


def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, DomainError):
        return refused(request, error.__cause__)
    if isinstance(error.__cause__, RequestDataTooBig):
        return too_large(request, error.__cause__)
    if isinstance(error.__cause__, HttpError):
        error = error.__cause__  # ninja wraps the parser's error in another one
    code = {400: BAD_JSON, 401: "not_authenticated"}.get(error.status_code, "bad_request")
    return problem(error.status_code, code, str(error))


def not_found(_: HttpRequest, __: Http404) -> HttpResponse:
    return problem(404, *PLAIN[404])


def too_large(_: HttpRequest, __: RequestDataTooBig) -> HttpResponse:
    return problem(413, *PLAIN[413])


def bad_form(_: HttpRequest, __: Exception) -> HttpResponse:
    return problem(400, *PLAIN[400])


def database_away(request: HttpRequest, error: Exception) -> HttpResponse:
    missing = migrations_refusal(error)
    if missing is not None:  # already logged, with a clearer message
        return refused(request, missing)
    refusal = refusal_of(error)
    if refusal is None:
        return unforeseen(request, error)
    log.warning("The database did not answer: %s", type(error).__name__)
    return refused(request, refusal)


def unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    """Answers 500 without a traceback; response and log have the same incident id."""
    return problem(500, "internal", report_incident(error, f"at {request.path}"))


HANDLERS: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
    DomainError: refused,
    ValidationError: misshapen,
    HttpError: http_error,
    Http404: not_found,
    RequestDataTooBig: too_large,
    MultiPartParserError: bad_form,
    SuspiciousOperation: bad_form,
    DatabaseError: database_away,
    InterfaceError: database_away,
    Exception: unforeseen,
}


def add_error_handlers(api: NinjaAPI) -> None:
    for kind, handler in HANDLERS.items():
        api.add_exception_handler(kind, handler)
