"""Answers `GET /doctor` with what the server sees of a request.

Only the doctor may ask. The doctor signs its request with SECRET_KEY.
"""

import time
import uuid
from typing import Any

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import Http404, HttpRequest, JsonResponse
from django.utils.crypto import salted_hmac

from accounts.auth import request_address

HEADER = "X-Chat-Doctor"
SALT = "chat.doctor"
SIGNATURE_TTL = 300
"""Seconds. Long enough for clocks that differ: reporting the difference is a check of its own."""

_process = uuid.uuid4().hex


def signature() -> str:
    return TimestampSigner(salt=SALT).sign(uuid.uuid4().hex)


def installation() -> str:
    """Returns a digest that is equal for processes with the same database and Redis.

    The digest reveals neither of them.
    """
    entry = settings.DATABASES["default"]
    database: list[Any] = [entry.get(key) for key in ("ENGINE", "HOST", "PORT", "NAME")]
    return salted_hmac(SALT, repr([*map(str, database), settings.REDIS_URLS])).hexdigest()[:16]


async def echo(request: HttpRequest) -> JsonResponse:
    """Answers 404 to a request without a valid signature."""
    try:
        TimestampSigner(salt=SALT).unsign(request.headers.get(HEADER, ""), max_age=SIGNATURE_TTL)
    except BadSignature:
        raise Http404 from None
    forwarded = [part for part in request.headers.get("X-Forwarded-For", "").split(",") if part]
    return JsonResponse(
        {
            "scheme": request.scheme,
            "address": request_address(request),
            "forwarded": len(forwarded),
            "trusted": settings.CHAT_TRUSTED_PROXIES,
            "process": _process,
            "installation": installation(),
            "debug": settings.DEBUG,
            "time": time.time(),
        }
    )
