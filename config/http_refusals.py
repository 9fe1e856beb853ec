"""Sends error responses before, or instead of, the application's response."""

from http import HTTPStatus
from io import BytesIO
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse

from accounts.kernel.errors import Busy, DomainError
from accounts.kernel.metrics import count_refusal
from realtime.servers.http_bodies import BodyRefused

from .error_answers import PLAIN


class Refusal(Exception):
    """An error response that the HTTP guard sends itself."""

    def __init__(
        self, status: int, code: str, detail: str, retry_after: float | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


def busy(setting: str | None = None, detail: str | None = None) -> Refusal:
    """Counts a refusal by this limit and returns a 503."""
    if setting is not None:
        count_refusal(setting)
    error = Busy(detail)
    return Refusal(503, error.code, error.message, error.retry_after)


def restarting() -> Refusal:
    return busy(detail="The server restarts: try again shortly")


def refusal_of_body(refused: BodyRefused) -> Refusal:
    """Counts a refused body and returns a 408, 413 or 503."""
    if refused.status not in PLAIN:
        return busy(refused.setting)
    count_refusal(refused.setting)
    return Refusal(refused.status, *PLAIN[refused.status])


def not_signed_in(error: DomainError) -> Refusal:
    return Refusal(HTTPStatus.UNAUTHORIZED, error.code, error.message)


async def send_refusal(scope: Any, send: Any, refusal: Refusal) -> None:
    """Sends the error with CORS headers, without which browsers hide it.

    Call `end_refusal` after it.
    """
    plain = JsonResponse({"code": refusal.code, "detail": refusal.detail}, status=refusal.status)
    if refusal.retry_after is not None:
        plain["Retry-After"] = f"{refusal.retry_after:.0f}"
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        plain["WWW-Authenticate"] = "Bearer"
    plain["Connection"] = "close"
    plain["Content-Length"] = str(len(plain.content))
    # The CORS middleware answers a preflight normally: only the request itself is refused. CORS
    # does not need the query string, which Django may fail to decode.
    request = ASGIRequest(scope | {"query_string": b""}, BytesIO())
    answer: Any = CorsMiddleware(lambda _: plain)(request)
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": answer.content, "more_body": True})


async def end_refusal(send: Any) -> None:
    """Lets the server close the connection."""
    await send({"type": "http.response.body", "body": b""})
