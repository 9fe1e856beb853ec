"""Defines what a consumer of stored changes implements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Changes of a room after version `since`, up to and including `until`.

    `messaging.changes_since.changes_since` reads them.
    """

    room_id: int
    since: int
    until: int


class Consumer(Protocol):
    """Acts on stored changes. All methods run in the one thread of its follower."""

    @property
    def name(self) -> str:
        """The name of its cursors and its lease. It never changes."""

    @property
    def max_versions(self) -> int:
        """The size of a range that it handles at once."""

    def handle(self, ranges: Sequence[VersionRange]) -> None:
        """Handles the changes of some rooms; the cursors advance afterwards.

        After a crash the same ranges, or ranges that begin alike, come once more.
        """

    def work(self) -> bool:
        """Does what is due by time. Returns whether more is due now."""

    def close(self) -> None:
        """Ends threads and connections of the consumer."""
