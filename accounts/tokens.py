"""Mints and reads access and refresh tokens: JWTs of ninja-jwt for a session row.

A pair is a pure function of its session row, so a refresh repeated within the grace answers the
same successor without storing tokens. Rotation and grace: `refreshing.py`.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jwt import ExpiredSignatureError
from ninja_jwt.exceptions import TokenError
from ninja_jwt.tokens import AccessToken, RefreshToken, Token

from .kernel.errors import TokenExpired, TokenInvalid
from .kernel.fields import MAX_ID
from .models import Session

MAX_TOKEN_LENGTH = 2048
MAX_VERIFIED = 8192
"""Tokens whose claims are kept: about 5 MB."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: str
    refresh: str


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token; `expires_at` is in epoch seconds."""

    user_id: int
    session_id: int
    jti: str
    expires_at: int


def mint(session: Session) -> TokenPair:
    """Returns the token pair of the session's last rotation."""
    access_jti = hashlib.sha256(session.refresh_jti.encode()).hexdigest()[:32]
    return TokenPair(
        access=_encode(AccessToken(), session, access_jti),
        refresh=_encode(RefreshToken(), session, session.refresh_jti),
    )


def _encode(token: Token, session: Session, jti: str) -> str:
    # No "issued at": a host whose clock is behind would refuse the token as not yet valid.
    del token["iat"]
    token.set_exp(from_time=session.rotated_at)
    token["jti"] = jti
    token["user_id"] = session.user_id
    token["sid"] = session.pk
    return str(token)


def read_access(token: str) -> Claims:
    """Reads an access token, never a refresh token.

    Raises TokenInvalid or TokenExpired.
    """
    return _decode(AccessToken, token)


def read_refresh(token: str) -> Claims:
    """Reads a refresh token. Raises TokenInvalid or TokenExpired."""
    return _decode(RefreshToken, token)


def _decode(kind: type[Token], token: str) -> Claims:
    # ninja-jwt makes a new token from an empty one, and PyJWT fails on non-ASCII.
    if not token or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        raise TokenInvalid
    claims = _verify(kind, token)  # type: ignore[arg-type] # a class can be hashed
    if claims.expires_at <= time.time():
        raise TokenExpired
    return claims


# A client sends the same token with each request, and verifying it costs as much as two queries.
# What a token says never changes. Its expiry and its session are checked at each use.
@lru_cache(maxsize=MAX_VERIFIED)
def _verify(kind: type[Token], token: str) -> Claims:
    try:
        payload: dict[str, Any] = kind(token).payload
    except TokenError as error:
        raise (TokenExpired if _is_expiry(error) else TokenInvalid) from None
    jti = payload.get("jti")
    if not isinstance(jti, str):
        raise TokenInvalid
    return Claims(_id(payload, "user_id"), _id(payload, "sid"), jti, int(payload["exp"]))


def _id(payload: dict[str, Any], claim: str) -> int:
    value = payload.get(claim)
    if type(value) is not int or not 0 < value <= MAX_ID:
        raise TokenInvalid
    return value


def _is_expiry(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ExpiredSignatureError):
            return True
        error = error.__cause__
    return False
