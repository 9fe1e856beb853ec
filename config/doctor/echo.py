"""What a server sees of a request, told to the doctor alone: `GET /doctor`, signed by our key."""

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
"""Seconds: the clocks of the two may differ, and that is for the doctor to say."""

_process = uuid.uuid4().hex


def signature() -> str:
    return TimestampSigner(salt=SALT).sign(uuid.uuid4().hex)


def installation() -> str:
    """The same for all who use one database and one list of Redis. Nothing can be read from it."""
    entry = settings.DATABASES["default"]
    what: list[Any] = [entry.get(key) for key in ("ENGINE", "HOST", "PORT", "NAME")]
    return salted_hmac(SALT, repr([*map(str, what), settings.REDIS_URLS])).hexdigest()[:16]


async def echo(request: HttpRequest) -> JsonResponse:
    """To anybody else there is nothing here."""
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
