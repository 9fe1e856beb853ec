"""Finds a socket's token and its network (contract §3, Signing in).

`handshake.py` waits 10 s for a token in the first frame.
"""

from typing import Any
from urllib.parse import parse_qs

from accounts.auth import bearer_token, client_address, network_of

Scope = dict[str, Any]
SUBPROTOCOL = "bearer"
MAX_FIELDS = 20
HOW_TO_SIGN_IN = (
    "Send an access token: in the header Authorization: Bearer <token>, as subprotocols"
    ' "bearer, <token>", as ?token=<token> in the URL, or as "token" in the first frame'
)


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


def network(scope: Scope) -> str | None:
    """Returns the network that limits per address count this socket for."""
    client = scope.get("client")
    peer = str(client[0]) if client else None
    return network_of(client_address(peer, header(scope, b"x-forwarded-for") or ""))
