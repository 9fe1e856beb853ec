"""Follows one more room on a socket of all rooms (contract §7)."""

from accounts.kernel.errors import Forbidden
from accounts.kernel.rate_limits import consume_locally

from .errors import NoSuchRoom
from .membership import join_room
from .models import Room
from .selectors import room_access


def follow_room(*, user_id: int, room_id: int) -> Room:
    """Returns a room that the caller may read, and joins it if it is public.

    Raises NoSuchRoom, also for a room that the caller was banned from, RateLimited.
    """
    access = room_access(user_id, room_id)
    if access.member is not None:
        return access.room
    if access.banned:
        raise NoSuchRoom
    consume_locally("CHAT_JOIN_RATE", user_id)
    try:
        return join_room(user_id=user_id, room_id=room_id)
    except Forbidden:
        raise NoSuchRoom from None
