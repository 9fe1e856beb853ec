"""Answers 401 for an ended session before any other refusal (contract §2).

Sends check the session under the lock of the write, which is later than JSON, shape and rate.
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
    """Checks the session of a request that was refused before the write.

    For operations with SignedBearer.
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
