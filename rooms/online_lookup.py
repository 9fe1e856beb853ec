"""Looks up the users who are online in a room."""

import functools
from collections.abc import Callable, Collection

from django.conf import settings
from django.utils.module_loading import import_string

Online = Callable[[int, Collection[int]], Collection[int]]


def online_in(room_id: int, user_ids: Collection[int]) -> Collection[int]:
    """Returns the users with a socket in the room or on `/ws/events/`.

    None in a process without sockets.
    """
    return _lookup()(room_id, user_ids)


@functools.cache
def _lookup() -> Online:
    """Returns what `settings.ONLINE_LOOKUP` names: no app imports sockets."""
    lookup: Online = import_string(settings.ONLINE_LOOKUP)
    return lookup
