"""HTTP requests to this process: answered in time, bounded in number, waited for when it goes down.

Django gives each request a thread, and on SQLite a connection, for as long as it takes. All of that
is bounded here, for the whole application and on the loop.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from io import BytesIO
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse

from accounts.errors import Busy

from .shutdown import shutdown

log = logging.getLogger(__name__)

MOST_UNANSWERED = 1000
"""Some 300 MB of threads and connections: more than a burst of clients needs, less than a host."""
RESTARTING = "The server restarts: try again shortly"
_unanswered: set[asyncio.Future[None]] = set()
"""Requests that say nothing so far, also those that were answered past them: asyncio itself keeps
no task alive."""


def guarded(
    application: Any,
    start: Callable[[asyncio.AbstractEventLoop], None],
    always: Collection[str] = (),
) -> Any:
    """An HTTP application whose requests are waited for, and refused once it is too late.

    Refused with `busy` are also those beyond MOST_UNANSWERED, but for the paths in `always`.
    `start` is called with the loop before each: what REST stores is told by it, too.
    """

    async def http(scope: Any, receive: Any, send: Any) -> None:
        if shutdown.frozen:
            await _unavailable(scope, send, Busy(RESTARTING))
            return
        if len(_unanswered) >= MOST_UNANSWERED and scope["path"] not in always:
            await _unavailable(scope, send, Busy())
            return
        start(asyncio.get_running_loop())
        with shutdown.working():
            await _answer_in_time(application, scope, receive, send)

    return http


async def _answer_in_time(application: Any, scope: Any, receive: Any, send: Any) -> None:
    """A database that says nothing holds the thread of a request, never its client.

    The thread cannot be stopped, and whoever cancels the request would wait for it: so the answer
    is given past it, and what it says later is not heard.
    """
    begun, late = False, False

    async def send_in_time(event: Any) -> None:
        nonlocal begun
        if not late:
            begun = True
            # Whoever reads slowly keeps nobody else out.
            _unanswered.discard(work)
            await send(event)

    work: asyncio.Future[None] = asyncio.ensure_future(application(scope, receive, send_in_time))
    _unanswered.add(work)
    work.add_done_callback(_unanswered.discard)
    try:
        await asyncio.wait([work], timeout=settings.CHAT_ANSWER_WITHIN)
        late = not begun and not work.done()
        if not late:
            # Whoever reads slowly may take as long as it takes.
            await work
            return
    finally:
        if not late:
            work.cancel()
    log.warning("A request had no answer in time: %s", scope["path"])
    await _unavailable(scope, send, Busy())


async def _unavailable(scope: Any, send: Any, busy: Busy) -> None:
    """With the headers of CORS, without which a program in a browser sees no answer at all."""
    refusal = JsonResponse({"code": busy.code, "detail": busy.message}, status=503)
    refusal["Retry-After"] = f"{busy.retry_after:.0f}"
    refusal["Connection"] = "close"
    # A preflight is answered by it: the request itself is what we refuse.
    answer: Any = CorsMiddleware(lambda _: refusal)(ASGIRequest(scope, BytesIO()))
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.items()]
    start = {"type": "http.response.start", "status": answer.status_code, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.content})
