"""Serves API, health and metrics requests without Django's thread hops.

Django's own ASGI handler sends the signals of a request, each synchronous middleware and the
closing of the response to a thread: 15 hops for each request. Only the admin needs them. Here the
middleware runs on the event loop, and a synchronous view with all that it calls is one hop.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix
from django.utils.log import log_response
from django.utils.module_loading import import_string
from typing_extensions import override

from accounts.kernel.request_threads import request_threads

PLAIN_PATHS = ("/healthz", "/readyz", "/metrics", "/doctor")

BODY_FILE = "chat.body_file"
"""Key of the scope for the file with a body that `config.request_bodies` did not keep in memory."""

View = Callable[..., Any]


def is_api(scope: Any) -> bool:
    """Returns whether the short middleware chain serves this path."""
    path: str = scope["path"].removeprefix(get_script_prefix(scope))
    return path.startswith("/api/") or path.rstrip("/") in PLAIN_PATHS


def by_path(api: Any, pages: Any) -> Any:
    """Returns an ASGI application with API requests for `api`, others for `pages`."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await (api if is_api(scope) else pages)(scope, receive, send)

    return application


class ApiHandler(ASGIHandler):
    """An ASGI application with the middleware of `settings.API_MIDDLEWARE`."""

    @override
    def load_middleware(self, is_async: bool = False) -> None:
        answer: Any = convert_exception_to_response(self._answer)
        for path in reversed(settings.API_MIDDLEWARE):
            answer = convert_exception_to_response(import_string(path)(answer))
        self._chain: Callable[[HttpRequest], Awaitable[HttpResponse]] = answer

    @override
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request.

        Nothing listens for the client's disconnect: `request_bodies` has read the body, and a
        thread that works for a client that has gone could not be stopped anyway.
        """
        try:
            body = scope.get(BODY_FILE) or BytesIO(await self._read_whole(receive))
        except RequestAborted:
            return
        set_script_prefix(get_script_prefix(scope))
        request_threads.serve_context()
        request, refusal = self.create_request(scope, body)
        response: Any = refusal
        if request is not None:
            response = await self._chain(request)
            if response.status_code >= HTTPStatus.BAD_REQUEST:
                log_response(
                    "%s: %s",
                    response.reason_phrase,
                    request.path,
                    response=response,
                    request=request,
                )
        try:
            await self.send_response(response, send)
        finally:
            response.close()
            if request is not None:
                request.close()  # uploaded files

    async def _read_whole(self, receive: Any) -> bytes:
        parts = []
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise RequestAborted
            parts.append(event.get("body", b""))
            if not event.get("more_body", False):
                return b"".join(parts)

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        view, args, kwargs = self.resolve_request(request)
        if iscoroutinefunction(view):
            response: HttpResponseBase = await view(request, *args, **kwargs)
        else:
            response = await request_threads.run(view, request, *args, **kwargs)
        return response
