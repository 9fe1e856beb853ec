"""Reads the headers of a request that its limits need."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import QueryDict

from accounts.auth import client_address, network_of, signed_user
from accounts.kernel.errors import DomainError
from messaging.attachments.media_keys import PARAMETER, read_key


class RequestHead:
    """Reads the headers that the guard needs, in one pass.

    `length` of the body is 0 without a body, and None when the headers do not state it.
    """

    __slots__ = ("_media_key", "length", "network", "token")

    def __init__(self, scope: Any) -> None:
        self.length: int | None = 0
        self.token: bytes | None = None
        self._media_key = _media_key(scope["query_string"])
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
            return read_key(self._media_key).user_id if self._media_key else None
        except DomainError:
            return None


def _media_key(query: bytes) -> str:
    if PARAMETER.encode() + b"=" not in query:
        return ""
    return QueryDict(query).get(PARAMETER, "")


@lru_cache(maxsize=4096)
def _network_of(peer: str | None, forwarded: str) -> str | None:
    return network_of(client_address(peer, forwarded))
