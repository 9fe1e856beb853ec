"""Shows browsers a page for an error, instead of Django's bare line.

Programs and the API get no page: clients of the API always receive JSON.
"""

import html
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.decorators import sync_and_async_middleware

from accounts.kernel.log_context import log_context

from .pages import set_page_headers

TEXTS: dict[int, tuple[str, str]] = {
    400: (
        "This request cannot be read",
        "The address is malformed, or this server does not serve this host name.",
    ),
    403: (
        "You may not do this",
        "A form may have been open for too long: go back, reload its page and try again.",
    ),
    404: ("There is no page at this address", "The link may be mistyped or old."),
    405: ("Method not allowed", "Programs use it, not browsers."),
    500: (
        "Something went wrong on the server",
        "Try again in a moment. The log of the server has the reason, under the number below.",
    ),
}
TRACEBACKS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR})
"""With DEBUG Django's page stays for these: it shows developers the traceback and the variables."""
REQUEST_ID = "request-id-of-this-answer"


@sync_and_async_middleware
def error_pages(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Replaces error answers by pages.

    Outermost, so that it sees those of all middleware.
    """
    prepare_pages()
    if iscoroutinefunction(get_response):
        answer: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = get_response

        async def middleware(request: HttpRequest) -> HttpResponseBase:
            return _for_browsers(request, await answer(request))

        return middleware

    def sync_middleware(request: HttpRequest) -> HttpResponseBase:
        return _for_browsers(request, get_response(request))

    return sync_middleware


def _for_browsers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if response.status_code in TEXTS and _gets_page(request, response):
        response.content = _page(response.status_code)  # type: ignore[attr-defined] # not streaming
        response["Content-Type"] = "text/html; charset=utf-8"
        response["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
        set_page_headers(response)
    return response


def _gets_page(request: HttpRequest, response: HttpResponseBase) -> bool:
    if settings.DEBUG and response.status_code in TRACEBACKS:
        return False
    if response.streaming or request.path_info.startswith("/api/"):
        return False
    if response.get("Content-Type", "text/html").partition(";")[0] != "text/html":
        return False
    return "text/html" in request.headers.get("Accept", "")


def _page(status: int) -> bytes:
    context = log_context()
    return (
        _template(status).replace(REQUEST_ID, html.escape(context.id if context else "-")).encode()
    )


def prepare_pages() -> None:
    """Renders all pages at the start.

    An error page then needs neither templates nor the database, which may be the error.
    """
    for status in TEXTS:
        _template(status)


@cache
def _template(status: int) -> str:
    title, text = TEXTS[status]
    context = {"status": status, "title": title, "text": text, "request_id": REQUEST_ID}
    return render_to_string("web/error.html", context)
