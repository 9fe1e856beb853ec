"""Signs and reads media keys, for URLs in an `<img>`, which sends no header.

A key holds user, session and expiry, signed. It opens files and thumbnails only, and ends with its
session. Access tokens are no keys, and keys no access tokens: each has a signature of its own kind.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core import signing
from django.http import HttpRequest
from ninja.security.base import AuthBase
from typing_extensions import override

from accounts.auth import Caller, authenticate_claims
from accounts.kernel.errors import TokenExpired, TokenInvalid
from accounts.tokens import Claims

LIFETIME = 3600
PARAMETER = "key"
MAX_LENGTH = 256

_signer = signing.Signer(salt="chat.media-key")


@dataclass(frozen=True, slots=True)
class SignedKey:
    key: str
    expires_at: datetime


def make_key(caller: Caller) -> SignedKey:
    expires_at = int(time.time()) + LIFETIME
    key = _signer.sign_object([caller.user_id, caller.session_id, expires_at])
    return SignedKey(key, datetime.fromtimestamp(expires_at, UTC))


def read_key(key: str) -> Claims:
    """Raises TokenInvalid or TokenExpired."""
    if len(key) > MAX_LENGTH or not key.isascii():
        raise TokenInvalid
    try:
        user_id, session_id, expires_at = _signer.unsign_object(key)
    except (signing.BadSignature, ValueError, TypeError):
        raise TokenInvalid from None
    if expires_at <= time.time():
        raise TokenExpired("Media key expired: get the next one")
    return Claims(user_id, session_id, "", expires_at)


class MediaKey(AuthBase):
    """`?key=` of a file, for requests without an Authorization header."""

    openapi_type = "apiKey"
    openapi_in = "query"
    openapi_name = PARAMETER

    @override
    def __call__(self, request: HttpRequest) -> Any:
        key = request.GET.get(PARAMETER)
        if key is None or "Authorization" in request.headers:
            return None  # Bearer decides
        return authenticate_claims(read_key(key), touch=False)
