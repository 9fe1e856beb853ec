"""How far members have read, stored together with the messages of the moment.

In a lively room everybody marks every message: with a transaction for each of these, reading would
cost more than writing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.errors import DomainError
from rooms.errors import NotAMember
from rooms.selectors import standing

from .statements import READ_ON, bare_cursor, marks_of, one_round_trip, write


@dataclass(frozen=True, slots=True)
class Mark:
    """A member has read everything up to `seq`."""

    user_id: int
    username: str
    room_id: int
    seq: int


@dataclass(frozen=True, slots=True)
class Marked:
    """Where the mark is now, how many messages come after it, and whether it `moved`."""

    seq: int
    unread: int
    moved: bool


def store_marks(marks: Sequence[Mark]) -> list[Marked | DomainError]:
    """Moves marks up, never back and never past the room's last message; the caller commits.

    One by one in the order given: NoSuchRoom, Forbidden for the removed, or NotAMember in the place
    of what was refused.
    """
    with one_round_trip():
        rows = marks_of({(mark.room_id, mark.user_id) for mark in marks})
        # A row that was waited for may mark a message from after the look at the room.
        found = {
            (room_id, user_id): (max(last, read), read) for room_id, user_id, last, read in rows()
        }
    moved: dict[tuple[int, int], int] = {}
    outcomes: list[Marked | DomainError] = []
    for mark in marks:
        key = mark.room_id, mark.user_id
        if key not in found:
            outcomes.append(_refusal(mark))
            continue
        last, read = found[key]
        read = moved.get(key, read)
        now = max(read, min(mark.seq, last))
        if now > read:
            moved[key] = now
        outcomes.append(Marked(now, last - now, moved=now > read))
    if moved:
        write(bare_cursor(), READ_ON, [(seq, *key) for key, seq in sorted(moved.items())])
    return outcomes


def _refusal(mark: Mark) -> DomainError:
    try:
        standing(mark.user_id, mark.room_id).check_may_read()
    except DomainError as refusal:
        return refusal
    return NotAMember()
