"""Moves read markers together with the messages of a batch.

In a busy room every member marks every message: with a transaction for each marker, reading would
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
    """The command of a member who has read everything up to `seq`."""

    user_id: int
    username: str
    room_id: int
    seq: int


@dataclass(frozen=True, slots=True)
class ReadMarker:
    """The read marker, the number of messages after it, and whether it `moved`."""

    seq: int
    unread: int
    moved: bool


Key = tuple[int, int]
"""The room and user of a member."""


class ReadMarkers:
    """Holds the read markers of a batch: as stored, and as the batch moves them.

    `rows` come from `sql.lock_members`.
    """

    def __init__(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        self._stored = {(room_id, user_id): (last, read) for room_id, user_id, last, read in rows}
        self._moved: dict[Key, int] = {}

    def note_message(self, message: MessageState) -> None:
        """Moves the sender's marker: sending also reads."""
        self._moved[message.room_id, message.sender] = message.seq

    def move(self, mark: MarkRead, last_seq: int) -> ReadMarker | DomainError:
        """Moves a marker up, never back and never past the room's last message.

        `last_seq` is the room's in this batch, 0 without messages there. Returns NoSuchRoom,
        Forbidden for a banned user, or NotAMember.
        """
        key = mark.room_id, mark.user_id
        if key not in self._stored and key not in self._moved:
            return _refusal(mark)
        last, read = self._stored.get(key, (0, 0))
        read = max(read, self._moved.get(key, 0))
        # While the batch waited for the member's row, its marker may have passed this `last_seq`.
        last = max(last, last_seq, read)
        now = max(read, min(mark.seq, last))
        if now > read:
            self._moved[key] = now
        return ReadMarker(now, last - now, moved=now > read)

    def moved(self) -> list[tuple[int, int, int]]:
        """Returns the rows of `sql.ADVANCE_READ_MARKERS`."""
        return [(seq, *key) for key, seq in sorted(self._moved.items())]


def _refusal(mark: MarkRead) -> DomainError:
    try:
        room_access(mark.user_id, mark.room_id).check_may_read()
    except DomainError as refusal:
        return refusal
    return NotAMember()
