"""Who is online in a room, asked of whoever knows.

Rooms show it and sockets know it, but rooms may not import sockets: `realtime` hands its answer in
here when it starts.
"""

from collections.abc import Callable, Collection

Online = Callable[[int, Collection[int]], Collection[int]]

_answers: list[Online] = []


def provide(online: Online) -> None:
    """`online` answers a room id and user ids with those of them who have a socket there."""
    _answers[:] = [online]


def online_in(room_id: int, user_ids: Collection[int]) -> Collection[int]:
    """Which of these users are there. Nobody, in a process that serves no sockets."""
    return _answers[0](room_id, user_ids) if _answers else ()
