"""Reads the headers of a request that its limits need."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict

from accounts.auth import client_address, network_of, signed_user
from accounts.kernel.errors import DomainError
from messaging.attachments.media_keys import PARAMETER, read_key

FILES = "/api/attachments/"
"""Only there a media key opens anything."""


class RequestHead:
    """Reads the headers that the guard needs, in one pass.

    `length` of the body is 0 without a body, and None when the headers do not state it.
    """

    __slots__ = ("_query", "length", "network", "token")

    def __init__(self, scope: Any) -> None:
        self.length: int | None = 0
        self.token: bytes | None = None
        self._query = scope["query_string"] if scope["path"].startswith(FILES) else b""
        forwarded = []
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.token = value
            elif name == b"content-length" and self.length is not None:
                self.length = int(value) if value.isdigit() else None
            elif name == b"transfer-encoding":
                self.length = None
            elif name == b"x-forwarded-for" and settings.CHAT_TRUSTED_PROXIES:
                forwarded.append(value.decode("latin-1"))
        client = scope.get("client")
        self.network = _network_of(client[0] if client else None, ",".join(forwarded))

    @property
    def authorization(self) -> str:
        return (self.token or b"").decode("latin-1")

    def signed_user(self) -> int | None:
        """Returns the user of a valid token or media key, without a query."""
        try:
            if self.token is not None:
                return signed_user(self.authorization)
            key = QueryDict(self._query).get(PARAMETER) if self._query else None
            return read_key(key).user_id if key else None
        except (DomainError, SuspiciousOperation):  # the latter for too many parameters
            return None


@lru_cache(maxsize=4096)
def _network_of(peer: str | None, forwarded: str) -> str | None:
    return network_of(client_address(peer, forwarded))
