"""Moves read and delivered markers together with the messages of a batch.

In a busy room every member marks every message: with a transaction for each marker, reading would
cost more than writing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings

from accounts.kernel.errors import DomainError
from messaging.events import MessageState
from rooms.errors import NotAMember
from rooms.selectors import room_access


@dataclass(frozen=True, slots=True)
class MarkRead:
    """The command of a member who has read everything up to `seq`."""

    user_id: int
    username: str
    room_id: int
    seq: int


@dataclass(frozen=True, slots=True)
class MarkDelivered:
    """The command of a member whose client has received everything up to `seq`."""

    user_id: int
    username: str
    room_id: int
    seq: int


MarkCommand = MarkRead | MarkDelivered


@dataclass(frozen=True, slots=True)
class ReadMarker:
    """The read marker, the number of messages after it, and whether it `moved`.

    `shared` is false for a user who keeps receipts private.
    """

    seq: int
    unread: int
    moved: bool
    shared: bool = True


@dataclass(frozen=True, slots=True)
class DeliveredMarker:
    """The delivered marker, whether it `moved`, and whether the room may receive it."""

    seq: int
    moved: bool
    shared: bool


class StoredMarkers(NamedTuple):
    """The markers of a member before the batch, with what receipts depend on."""

    last_seq: int
    read: int
    delivered: int
    shares: bool
    member_count: int


Key = tuple[int, int]
"""The room and user of a member."""
UNKNOWN = StoredMarkers(0, 0, 0, shares=False, member_count=0)
"""Of a member who joined in this batch."""


class ReadMarkers:
    """Holds the markers of a batch: as stored, and as the batch moves them.

    `rows` come from `sql.lock_members`.
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self._stored = {
            (room_id, user_id): StoredMarkers(*markers) for room_id, user_id, *markers in rows
        }
        self._moved: dict[Key, int] = {}
        self._delivered: dict[Key, int] = {}

    def note_message(self, message: MessageState) -> None:
        """Moves the sender's marker: sending also reads."""
        self._moved[message.room_id, message.sender] = message.seq

    def move(self, mark: MarkRead, last_seq: int) -> ReadMarker | DomainError:
        """Moves a marker up, never back and never past the room's last message.

        `last_seq` is the room's in this batch, 0 without messages there. Returns NoSuchRoom,
        Forbidden for a banned user, or NotAMember.
        """
        key = mark.room_id, mark.user_id
        if not self._is_member(key):
            return _refusal(mark)
        stored = self._stored.get(key, UNKNOWN)
        read = max(stored.read, self._moved.get(key, 0))
        # While the batch waited for the member's row, its marker may have passed this `last_seq`.
        last = max(stored.last_seq, last_seq, read)
        now = max(read, min(mark.seq, last))
        if now > read:
            self._moved[key] = now
        return ReadMarker(now, last - now, moved=now > read, shared=bool(stored.shares))

    def move_delivered(self, mark: MarkDelivered, last_seq: int) -> DeliveredMarker | DomainError:
        """Does the same for the delivered marker, which is never behind the read marker."""
        key = mark.room_id, mark.user_id
        if not self._is_member(key):
            return _refusal(mark)
        stored = self._stored.get(key, UNKNOWN)
        read = max(stored.read, self._moved.get(key, 0))
        before = max(read, stored.delivered, self._delivered.get(key, 0))
        now = max(before, min(mark.seq, max(stored.last_seq, last_seq, read)))
        if now > before:
            self._delivered[key] = now
        most: int | None = settings.CHAT_RECEIPTS_MAX_MEMBERS
        shared = bool(stored.shares) and (most is None or stored.member_count <= most)
        return DeliveredMarker(now, moved=now > before, shared=shared)

    def _is_member(self, key: Key) -> bool:
        return key in self._stored or key in self._moved

    def moved(self) -> list[tuple[int, int, int]]:
        """Returns the rows of `sql.ADVANCE_READ_MARKERS`."""
        return [(seq, *key) for key, seq in sorted(self._moved.items())]

    def delivered(self) -> list[tuple[int, int, int]]:
        """Returns the rows of `sql.ADVANCE_DELIVERED_MARKERS`."""
        return [(seq, *key) for key, seq in sorted(self._delivered.items())]


def _refusal(mark: MarkRead | MarkDelivered) -> DomainError:
    try:
        room_access(mark.user_id, mark.room_id).check_may_read()
    except DomainError as refusal:
        return refusal
    return NotAMember()
