"""Who is online in a room, asked of whoever knows.

Rooms show it and sockets know it, but rooms may not import sockets: `realtime` hands its answer in
here when it starts.
"""

from collections.abc import Callable, Collection

Online = Callable[[int], Collection[int]]


def _nobody(room_id: int) -> Collection[int]:
    return ()


_ask: Online = _nobody


def provide(online: Online) -> None:
    """`online` answers a room id with the ids of the users who have a socket there."""
    global _ask
    _ask = online


def online_in(room_id: int) -> Collection[int]:
    return _ask(room_id)
