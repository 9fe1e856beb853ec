"""Counts what users have not read, for many rooms at once."""

from collections.abc import Collection
from typing import NamedTuple

from rooms.followed_rooms import FollowedRoom, followed_rooms

from .mentions import count_unread_mentions

UserRoom = tuple[int, int]
"""A user and a room."""


class ReadMarks(NamedTuple):
    """How far a user has read in a room, and what is left."""

    last_read_seq: int
    unread: int
    mentions: int
    muted: bool


def marks_of(rooms: dict[UserRoom, FollowedRoom]) -> dict[UserRoom, ReadMarks]:
    """Returns the marks of rooms that were just read."""
    # Most rooms are read, and cost nothing here.
    mentions = count_unread_mentions(
        {pair: room.last_read_seq for pair, room in rooms.items() if room.unread}
    )
    return {
        pair: ReadMarks(room.last_read_seq, room.unread, mentions.get(pair, 0), room.muted)
        for pair, room in rooms.items()
    }


def read_marks(pairs: Collection[UserRoom]) -> dict[UserRoom, ReadMarks]:
    """Returns the marks of those pairs that are memberships."""
    return marks_of(followed_rooms(pairs))
