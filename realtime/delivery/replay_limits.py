"""Limits how much a client may replay, and how often (contract §3, promise 3).

Beyond MAX_REPLAYED_CHANGES the answer is `resumed` with `complete: false`.
"""

from accounts.kernel.errors import RateLimited
from accounts.kernel.rate_limits import Rate, buckets
from messaging.changes_since import has_more_changes
from rooms.models import Room

MAX_REPLAYED_CHANGES = 1000
REPLAY_RATE = Rate(times=5, seconds=1, burst=100)
"""Per user and process, for `?since=` and `resume`: a thousand frames cost more than one. The burst
is for all sockets of a user that reconnect after a restart."""


def is_too_far(room: Room, since: int) -> bool:
    """Whether too much changed after `since`, or the room does not have that version."""
    if since > room.version:
        return True
    limit = MAX_REPLAYED_CHANGES
    return room.version - since > limit and has_more_changes(room, since, limit)


def consume_replay(user_id: int) -> None:
    """Consumes one replay of the user's rate. Raises RateLimited."""
    wait = buckets.consume("replay", user_id, REPLAY_RATE)
    if wait > 0:
        raise RateLimited("Too many replays: wait a moment", retry_after=wait)
