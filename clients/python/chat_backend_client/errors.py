"""What can go wrong, as exceptions with the server's stable codes."""

from typing import Any

TEMPORARY = frozenset({"rate_limited", "busy", "internal", "too_many_connections"})
"""Codes after which the same request may succeed later."""


class ChatError(Exception):
    """The base of all errors of this package."""


class Refused(ChatError):
    """The server refused a request or frame."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.errors = errors or []

    @property
    def temporary(self) -> bool:
        """Whether the same may succeed later."""
        return self.code in TEMPORARY


class SignedOut(ChatError):
    """The session has ended: log in again."""


class Unreachable(ChatError):
    """The server did not answer in time. A repeatable request may be tried again."""


class Closed(ChatError):
    """The server ended the socket for good; connecting again would not help."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class NotConnected(ChatError):
    """A frame that is not kept (typing, read) was not sent: there is no connection."""


class NotAcknowledged(ChatError):
    """No acknowledgement yet. The message stays in the outbox and is sent again."""


class OutboxFull(ChatError):
    """Too many messages wait for their acknowledgement."""


class TooLong(ChatError):
    """A message is larger than a frame may be."""
