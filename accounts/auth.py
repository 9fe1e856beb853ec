"""Who is calling: the one check behind REST requests and sockets."""

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase
from typing_extensions import override

from . import tokens
from .kernel.errors import NotAuthenticated, SessionEnded, TokenInvalid
from .kernel.log_context import note_user
from .models import Session, User

TOUCH_INTERVAL = timedelta(minutes=1)
"""`last_used_at` is written at most this often, so that reading stays free of writes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller whose token, session and account are good. `expires_at` is epoch seconds."""

    user_id: int
    username: str
    session_id: int
    expires_at: int


class Request(HttpRequest):
    """A request that passed `Bearer`."""

    auth: Caller


# By hand: it stands before every request and every socket, and building the same query with the ORM
# costs many times what the database needs to answer it.
SELECT_CALLER = (
    "SELECT u.username, u.is_active AND s.ended_at IS NULL, s.last_used_at < %s"
    " FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id"
    " WHERE s.id = %s AND s.user_id = %s"
)


def authenticate(token: str, *, touch: bool = True) -> Caller:
    """The caller behind an access token: one query.

    `touch` notes the use of the session, a commit of its own once a minute; sockets note it later,
    for all who came at once.

    Raises TokenInvalid, TokenExpired, or SessionEnded after a logout, a password change or the
    deactivation of the account.
    """
    return sign_in_with(tokens.read_access(token), touch=touch)


def sign_in_with(claims: tokens.Claims, *, touch: bool = True) -> Caller:
    """The same with the claims of a token that was read before, which takes no database."""
    now = timezone.now()
    stale = connection.ops.adapt_datetimefield_value(now - TOUCH_INTERVAL)
    with connection.cursor() as cursor:
        cursor.execute(SELECT_CALLER, [stale, claims.session_id, claims.user_id])
        row = cursor.fetchone()
    if row is None:
        raise TokenInvalid
    username, is_good, is_stale = row
    note_user(claims.user_id)
    if not is_good:
        raise SessionEnded
    if is_stale and touch:
        Session.objects.filter(pk=claims.session_id).update(last_used_at=now)
    return Caller(claims.user_id, username, claims.session_id, claims.expires_at)


class Bearer(AuthBase):
    """`Authorization: Bearer <access>`.

    Ninja's own HttpBearer writes the header of a malformed attempt to the log, so this is ours.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"  # noqa: N815 - the name in OpenAPI

    @override
    def __call__(self, request: HttpRequest) -> Caller:
        token = bearer_token(request.headers.get("Authorization", ""))
        if token is None:
            raise NotAuthenticated
        return authenticate(token)


def bearer_token(header: str) -> str | None:
    """The token of an Authorization header (RFC 6750 §2.1), None when there is none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def client_address(peer: str | None, forwarded_for: str) -> str | None:
    """The caller's address: the peer, or what the nearest `CHAT_TRUSTED_PROXIES` proxies wrote.

    Only the entries that our own proxies appended count; entries that the client wrote do not.
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


def network_of(address: str | None) -> str | None:
    """What limits per address count together: of IPv6 the /64, which any customer has whole.

    An IPv4 address that a server on both hears as `::ffff:192.0.2.1` counts as what it is: they
    all lie in one /64.
    """
    ip = ip_address(address) if address is not None else None
    if not isinstance(ip, IPv6Address):
        return address
    return str(ip.ipv4_mapped or IPv6Network((int(ip), 64), strict=False))


def request_address(request: HttpRequest) -> str | None:
    meta: dict[str, Any] = request.META
    return client_address(meta.get("REMOTE_ADDR"), meta.get("HTTP_X_FORWARDED_FOR", ""))


def user_of(caller: Caller) -> User:
    """The caller's whole row, for the few operations that change it."""
    return User.objects.get(pk=caller.user_id)
