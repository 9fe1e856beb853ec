"""How far members have read, stored together with the messages of the moment.

In a lively room everybody marks every message: with a transaction for each of these, reading would
cost more than writing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.kernel.errors import DomainError
from messaging.events import MessageState
from rooms.errors import NotAMember
from rooms.selectors import room_access


@dataclass(frozen=True, slots=True)
class MarkRead:
    """A member has read everything up to `seq`."""

    user_id: int
    username: str
    room_id: int
    seq: int


@dataclass(frozen=True, slots=True)
class ReadMarker:
    """Where the mark is now, how many messages come after it, and whether it `moved`."""

    seq: int
    unread: int
    moved: bool


Key = tuple[int, int]
"""Room and user: they name a member."""


class ReadMarkers:
    """The read markers of a batch: as the database has them, and as the batch moves them.

    `rows` are those of `statements.lock_members`.
    """

    def __init__(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        self._stored = {(room_id, user_id): (last, read) for room_id, user_id, last, read in rows}
        self._moved: dict[Key, int] = {}

    def note_message(self, message: MessageState) -> None:
        """Sending also reads, for the sender alone."""
        self._moved[message.room_id, message.sender] = message.seq

    def move(self, mark: MarkRead, last_seq: int) -> ReadMarker | DomainError:
        """Moves a marker up, never back and never past the room's last message.

        `last_seq` is the room's as this batch counts it, 0 when it counts nothing there. Returns
        NoSuchRoom, Forbidden for the removed, or NotAMember.
        """
        key = mark.room_id, mark.user_id
        if key not in self._stored and key not in self._moved:
            return _refusal(mark)
        last, read = self._stored.get(key, (0, 0))
        read = max(read, self._moved.get(key, 0))
        # A row that was waited for may mark a message from after the look at the room.
        last = max(last, last_seq, read)
        now = max(read, min(mark.seq, last))
        if now > read:
            self._moved[key] = now
        return ReadMarker(now, last - now, moved=now > read)

    def moved(self) -> list[tuple[int, int, int]]:
        """The rows of `statements.ADVANCE_READ_MARKERS`."""
        return [(seq, *key) for key, seq in sorted(self._moved.items())]


def _refusal(mark: MarkRead) -> DomainError:
    try:
        room_access(mark.user_id, mark.room_id).check_may_read()
    except DomainError as refusal:
        return refusal
    return NotAMember()
