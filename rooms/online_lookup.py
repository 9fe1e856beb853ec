"""Looks up the users who are online in a room.

Rooms must not import sockets, so `realtime` provides the lookup when it starts.
"""

from collections.abc import Callable, Collection

Online = Callable[[int, Collection[int]], Collection[int]]

_answers: list[Online] = []


def provide(online: Online) -> None:
    """Sets the lookup of users with a socket in the room, by room and user ids."""
    _answers[:] = [online]


def online_in(room_id: int, user_ids: Collection[int]) -> Collection[int]:
    """Returns the users with a socket in the room; none in a process without sockets."""
    return _answers[0](room_id, user_ids) if _answers else ()
