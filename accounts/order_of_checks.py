"""Keeps the order in which REST requests are checked (contract §2).

| Check | Answer | Where |
|---|---|---|
| Token and session | 401 | `accounts.auth`, before the body is parsed |
| JSON | 400 | `config.api.StrictParser` |
| Shape | 422 | `schemas`, by Ninja |
| Rate | 429 | `config.request_rates`, around the view; sends in their service |
| May the caller see it? | 404 | `selectors` |
| May the caller do it? | 403 | services |
| Idempotency, then state | 409 | services and `messaging.writer` |

Sends check the session under the lock of the write, which is late: `session_first` puts it first.
"""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from ninja.operation import Operation

from . import tokens
from .auth import Caller, authenticate_claims
from .kernel.errors import DomainError
from .kernel.request_threads import call_or_refuse

REFUSED_EARLY = frozenset({400, 413, 422, 429})


def session_first(run: Callable[..., Awaitable[HttpResponse]]) -> Any:
    """Answers 401 for an ended session before any other refusal (contract §2).

    For operations with SignedBearer: a body may be refused before the write has checked the
    session.
    """

    @wraps(run)
    async def checked(request: HttpRequest, **path: Any) -> HttpResponse:
        response = await run(request, **path)
        caller: Caller | None = getattr(request, "auth", None)
        if caller is not None and response.status_code in REFUSED_EARLY:
            claims = tokens.Claims(caller.user_id, caller.session_id, "", caller.expires_at)
            try:
                await sync_to_async(call_or_refuse)(authenticate_claims, claims, touch=False)
            except DomainError as refusal:
                operation: Operation = run.__self__  # type: ignore[attr-defined] # a bound method
                return operation.api.on_exception(request, refusal)
        return response

    return checked
