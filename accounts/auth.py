"""Authenticates callers, for REST requests and sockets alike."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase
from typing_extensions import override

from . import tokens
from .kernel.errors import NotAuthenticated, SessionEnded, TokenInvalid
from .kernel.log_context import note_user
from .kernel.request_threads import call_or_refuse
from .models import Session, User

TOUCH_INTERVAL = timedelta(minutes=1)
"""`last_used_at` is written at most this often, so that reading stays free of writes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller with a valid token, session and account.

    `expires_at` is in epoch seconds.
    """

    user_id: int
    username: str
    session_id: int
    expires_at: int
    shares_receipts: bool = True
    """Read for sockets, which receive receipts."""


class Request(HttpRequest):
    """A request that passed `Bearer`."""

    auth: Caller


# Plain SQL, because each request and each socket runs it: building the query with the ORM costs
# many times what the database needs.
SELECT_CALLER = (
    "SELECT u.username, u.is_active AND s.ended_at IS NULL, s.last_used_at < %s,"
    " u.share_receipts"
    " FROM accounts_session s JOIN accounts_user u ON u.id = s.user_id"
    " WHERE s.id = %s AND s.user_id = %s"
)
# The same for many sockets at once, without the time of the last use.
SELECT_CALLERS = (
    "WITH asked (session_id, user_id) AS (VALUES {asked})"
    " SELECT s.id, s.user_id, u.username, u.is_active AND s.ended_at IS NULL, u.share_receipts"
    " FROM asked CROSS JOIN accounts_session s CROSS JOIN accounts_user u"
    " WHERE s.id = asked.session_id AND s.user_id = asked.user_id AND u.id = s.user_id"
)


def authenticate(token: str, *, touch: bool = True) -> Caller:
    """Returns the caller of an access token, with one query.

    `touch` stores when the session was used, with one commit per minute. Sockets store it later,
    for several sessions at once.

    Raises TokenInvalid, TokenExpired, or SessionEnded after a logout, a password change or the
    deactivation of the account.
    """
    return authenticate_claims(tokens.read_access(token), touch=touch)


def authenticate_claims(claims: tokens.Claims, *, touch: bool = True) -> Caller:
    """Does the same as `authenticate` for the claims of a verified token."""
    now = timezone.now()
    stale = connection.ops.adapt_datetimefield_value(now - TOUCH_INTERVAL)
    with connection.cursor() as cursor:
        cursor.execute(SELECT_CALLER, [stale, claims.session_id, claims.user_id])
        row = cursor.fetchone()
    if row is None:
        raise TokenInvalid
    username, is_good, is_stale, shares_receipts = row
    note_user(claims.user_id)
    if not is_good:
        raise SessionEnded
    if is_stale and touch:
        Session.objects.filter(pk=claims.session_id).update(last_used_at=now)
    return Caller(
        claims.user_id, username, claims.session_id, claims.expires_at, bool(shares_receipts)
    )


def authenticate_together(
    sockets: Collection[tokens.Claims],
) -> dict[tokens.Claims, Caller | SessionEnded | TokenInvalid]:
    """Signs in several sockets with one query, each as `authenticate_claims` does.

    An error is the result of its socket.
    """
    pairs = {(claims.session_id, claims.user_id) for claims in sockets}
    statement = SELECT_CALLERS.format(asked=", ".join(["(%s, %s)"] * len(pairs)))
    with connection.cursor() as cursor:
        cursor.execute(statement, [value for pair in pairs for value in pair])
        found = {(row[0], row[1]): row[2:] for row in cursor.fetchall()}
    return {
        claims: _caller_of(claims, found.get((claims.session_id, claims.user_id)))
        for claims in sockets
    }


def _caller_of(
    claims: tokens.Claims, row: tuple[str, bool, bool] | None
) -> Caller | SessionEnded | TokenInvalid:
    if row is None:
        return TokenInvalid()
    username, is_good, shares_receipts = row
    if not is_good:
        return SessionEnded()
    return Caller(
        claims.user_id, username, claims.session_id, claims.expires_at, bool(shares_receipts)
    )


class Bearer(AuthBase):
    """`Authorization: Bearer <access>`.

    Not Ninja's HttpBearer, which logs malformed headers.
    """

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_bearerFormat = "JWT"  # noqa: N815 - the name in OpenAPI

    @override
    def __call__(self, request: HttpRequest) -> Any:
        return authenticate(_sent_token(request))


def _sent_token(request: HttpRequest) -> str:
    token = bearer_token(request.headers.get("Authorization", ""))
    if token is None:
        raise NotAuthenticated
    return token


def signed_user(authorization: str) -> int:
    """Returns the user of a header's valid token, without a query.

    The session may have ended. Raises NotAuthenticated, TokenInvalid or TokenExpired.
    """
    token = bearer_token(authorization)
    if token is None:
        raise NotAuthenticated
    return tokens.read_access(token).user_id


class SignedBearer(Bearer):
    """Checks a token's signature, and its session once a minute.

    For operations whose write checks session and account under its lock, so that no thread is
    needed here. `session_first` is for requests that end before the write.
    """

    is_async = True

    @override
    async def __call__(self, request: HttpRequest) -> Caller:
        claims = tokens.read_access(_sent_token(request))
        caller = recent_callers.get(claims)
        if caller is None:
            # Also stores when the session was used.
            caller = await sync_to_async(call_or_refuse)(authenticate_claims, claims)
            recent_callers.add(caller)
        note_user(caller.user_id)
        return caller


# Ninja names the security scheme by the class: the document has one for both.
SignedBearer.__name__ = Bearer.__name__


class RecentCallers:
    """Callers whose session was valid within the last minute.

    It may have ended since.
    """

    MAX_SIZE = 10_000

    def __init__(self) -> None:
        self._since: dict[tuple[int, int], tuple[float, str]] = {}

    def get(self, claims: tokens.Claims) -> Caller | None:
        since, username = self._since.get((claims.session_id, claims.user_id), (0.0, ""))
        if not since or time.monotonic() - since > TOUCH_INTERVAL.total_seconds():
            return None
        return Caller(claims.user_id, username, claims.session_id, claims.expires_at)

    def add(self, caller: Caller) -> None:
        self._since.pop((caller.session_id, caller.user_id), None)
        if len(self._since) >= self.MAX_SIZE:
            del self._since[next(iter(self._since))]
        self._since[caller.session_id, caller.user_id] = (time.monotonic(), caller.username)


recent_callers = RecentCallers()


def bearer_token(header: str) -> str | None:
    """Returns the token of an Authorization header (RFC 6750 §2.1), or None."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def client_address(peer: str | None, forwarded_for: str) -> str | None:
    """Returns the client's address.

    That is the peer's, or the one that `CHAT_TRUSTED_PROXIES` proxies add. Only entries that these
    proxies appended count, none that the client sent.
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


# For each socket and each request with a body: parsing an address costs more than the look-up.
@lru_cache(4096)
def network_of(address: str | None) -> str | None:
    """Returns what limits per address count as one address: for IPv6 the /64 network.

    One customer usually has a whole /64. `::ffff:192.0.2.1` counts as the IPv4 address that it
    stands for, because all of these lie in one /64.
    """
    ip = ip_address(address) if address is not None else None
    if not isinstance(ip, IPv6Address):
        return address
    return str(ip.ipv4_mapped or IPv6Network((int(ip), 64), strict=False))


def request_address(request: HttpRequest) -> str | None:
    meta: dict[str, Any] = request.META
    return client_address(meta.get("REMOTE_ADDR"), meta.get("HTTP_X_FORWARDED_FOR", ""))


def user_of(caller: Caller) -> User:
    """Returns the row of the caller, for operations that change it."""
    return User.objects.get(pk=caller.user_id)
