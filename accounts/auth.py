"""Who is calling: the one check behind REST requests and sockets."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase

from . import tokens
from .errors import NotAuthenticated, SessionEnded, TokenInvalid
from .models import Session, User

TOUCH_EVERY = timedelta(minutes=1)
"""`last_used_at` is written at most this often, so that reading stays free of writes."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A caller whose token, session and account are good. `expires_at` is epoch seconds."""

    user_id: int
    username: str
    session_id: int
    expires_at: int


class Request(HttpRequest):
    """A request that passed `Bearer`."""

    auth: SignIn


def sign_in(token: str) -> SignIn:
    """The caller behind an access token: one query.

    Raises TokenInvalid, TokenExpired, or SessionEnded after a logout, a password change or the
    deactivation of the account.
    """
    claims = tokens.read_access(token)
    session = (
        Session.objects.select_related("user")
        .only("ended_at", "last_used_at", "user__username", "user__is_active")
        .filter(pk=claims.session_id, user_id=claims.user_id)
        .first()
    )
    if session is None:
        raise TokenInvalid
    if session.ended_at is not None or not session.user.is_active:
        raise SessionEnded
    _touch(session, timezone.now())
    return SignIn(claims.user_id, session.user.username, claims.session_id, claims.expires_at)


def _touch(session: Session, now: datetime) -> None:
    if now - session.last_used_at > TOUCH_EVERY:
        Session.objects.filter(pk=session.pk).update(last_used_at=now)


class Bearer(AuthBase):
    """`Authorization: Bearer <access>`.

    Ninja's own HttpBearer writes the header of a malformed attempt to the log, so this is ours.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"  # noqa: N815 - the name in OpenAPI

    def __call__(self, request: HttpRequest) -> SignIn:
        token = bearer_token(request.headers.get("Authorization", ""))
        if token is None:
            raise NotAuthenticated
        return sign_in(token)


def bearer_token(header: str) -> str | None:
    """The token of an Authorization header (RFC 6750 §2.1), None when there is none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def client_address(peer: str | None, forwarded_for: str) -> str | None:
    """The caller's address: the peer, or what the nearest `CHAT_TRUSTED_PROXIES` proxies wrote.

    Only the entries that our own proxies appended count; whatever a client wrote in front does not.
    """
    hops = settings.CHAT_TRUSTED_PROXIES
    chain = [part.strip() for part in forwarded_for.split(",") if part.strip()]
    candidate = chain[-min(hops, len(chain))] if hops and chain else peer
    return _plain_address(candidate)


def _plain_address(text: str | None) -> str | None:
    try:
        return str(ip_address(text or ""))
    except ValueError:
        return None


def request_address(request: HttpRequest) -> str | None:
    meta: dict[str, Any] = request.META
    return client_address(meta.get("REMOTE_ADDR"), meta.get("HTTP_X_FORWARDED_FOR", ""))


def as_user(sign_in: SignIn) -> User:
    """The caller's whole row, for the few operations that change it."""
    return User.objects.get(pk=sign_in.user_id)
