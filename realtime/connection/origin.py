"""Checks a socket's Origin and Host headers (contract §3, Signing in)."""

import re

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts.kernel.errors import Forbidden

from .credentials import Scope, header

HOST_NOT_ALLOWED = "This server does not answer for this host name: see ALLOWED_HOSTS"
ORIGIN_NOT_ALLOWED = "Pages from this origin may not connect: see ALLOWED_ORIGINS"


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
