"""Defines the events of accounts; `kernel.events` publishes them."""

from dataclasses import dataclass

from .kernel.events import Event


@dataclass(frozen=True, slots=True)
class SessionsEnded(Event):
    """Sessions of a user ended: their sockets close with `session_ended`."""

    user_id: int
    session_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class ProfileChanged(Event):
    """A user changed the display name."""

    user_id: int
    username: str
    display_name: str


@dataclass(frozen=True, slots=True)
class ReceiptsSharingChanged(Event):
    """A user began or ceased to share receipts, and so to see them."""

    user_id: int
    shares: bool
