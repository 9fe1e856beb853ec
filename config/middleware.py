"""Middleware for trailing slashes, JSON errors and response headers."""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.decorators import sync_and_async_middleware

from .error_answers import as_json
from .response_headers import set_address_headers

HEALTH = ("/healthz/", "/readyz/", "/metrics/")


class OnLoop:
    """Runs both hooks of a Django middleware on the event loop instead of on threads.

    Only for middleware that reads and sets headers.
    """

    get_response: Any
    process_response: Any

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        process_request = getattr(self, "process_request", None)
        response: HttpResponseBase | None = process_request(request) if process_request else None
        if response is None:
            response = await self.get_response(request)
        answer: HttpResponseBase = self.process_response(request, response)
        return answer


class Security(OnLoop, SecurityMiddleware):
    """Sets HSTS, nosniff, the referrer policy and COOP."""


class Common(OnLoop, CommonMiddleware):
    """Refuses hosts that are not in ALLOWED_HOSTS; sets Content-Length."""


class XFrameOptions(OnLoop, XFrameOptionsMiddleware):
    """Sets X-Frame-Options."""


@sync_and_async_middleware
def api_paths(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Serves trailing slashes on API paths and turns plain errors there into JSON.

    Headers are set here too: another middleware would cost each request more.
    """
    if iscoroutinefunction(get_response):
        answer: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            _trim(request)
            return _finished(request, await answer(request))

        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        _trim(request)
        return _finished(request, get_response(request))

    return sync_middleware


def _trim(request: HttpRequest) -> None:
    """Serves `/api/rooms/` as `/api/rooms`; a redirect would lose the body."""
    if request.path_info.startswith("/api/") or request.path_info in HEALTH:
        request.path_info = request.path_info.rstrip("/")


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    response = as_json(request, response)
    set_address_headers(request.path_info, response)
    return response
