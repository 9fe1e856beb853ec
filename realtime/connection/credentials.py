"""Finds a socket's token and checks its Origin (contract §3, Signing in)."""

import re
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.auth import bearer_token, client_address, network_of
from accounts.kernel.errors import Forbidden

Scope = dict[str, Any]
SUBPROTOCOL = "bearer"
MAX_FIELDS = 20
HOW_TO_SIGN_IN = (
    "Send an access token: in the header Authorization: Bearer <token>, as subprotocols"
    ' "bearer, <token>", as ?token=<token> in the URL, or as "token" in the first frame'
)
HOST_NOT_ALLOWED = "This server does not answer for this host name: see ALLOWED_HOSTS"
ORIGIN_NOT_ALLOWED = "Pages from this origin may not connect: see ALLOWED_ORIGINS"


def header(scope: Scope, name: bytes) -> str | None:
    """Returns a header's value; several lines count as one list (RFC 9110 §5.3)."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(lines) if lines else None


def query(scope: Scope, name: str) -> str | None:
    """Returns the first value of a query parameter, "" when it is empty."""
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        pairs = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return ""
    return pairs[name][0] if name in pairs else None


def offered_token(scope: Scope) -> str | None:
    """Returns the token from header, subprotocol or query; the first present decides."""
    by_header = bearer_token(header(scope, b"authorization") or "")
    if by_header is not None:
        return by_header
    offered: list[str] = scope.get("subprotocols") or []
    if SUBPROTOCOL in offered and len(offered) > 1:
        return next((one for one in offered if one != SUBPROTOCOL), "")
    return query(scope, "token")


def chosen_subprotocol(scope: Scope) -> str | None:
    return SUBPROTOCOL if SUBPROTOCOL in (scope.get("subprotocols") or []) else None


def check_origin(scope: Scope) -> None:
    """Raises Forbidden for a web page of another origin, and for an unknown Host.

    A missing Origin is allowed (Postman, apps), and so is a page of this host. The Host is checked
    first: in DNS rebinding a page's name resolves to this server, and it is both Host and Origin.
    """
    host = header(scope, b"host")
    if host is not None and not _is_ours(host):
        raise Forbidden(HOST_NOT_ALLOWED)
    origin = header(scope, b"origin")
    if origin is None or _is_allowed(origin):
        return
    if origin.partition("://")[2] != host:
        raise Forbidden(ORIGIN_NOT_ALLOWED)


def _is_ours(host: str) -> bool:
    """Checks the host as Django does for requests."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _is_allowed(origin: str) -> bool:
    """Whether the settings allow an origin; CORS uses the same settings."""
    allowed: list[str] = settings.ALLOWED_ORIGINS
    patterns: list[str] = settings.ALLOWED_ORIGIN_REGEXES
    return "*" in allowed or origin in allowed or any(re.match(one, origin) for one in patterns)


def network(scope: Scope) -> str | None:
    """Returns the network that limits per address count this socket for."""
    client = scope.get("client")
    peer = str(client[0]) if client else None
    return network_of(client_address(peer, header(scope, b"x-forwarded-for") or ""))
