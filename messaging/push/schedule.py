"""Decides when a push is due: after a message, after a push, after a failure.

Users with an open socket in the room have received the messages, so nothing is noted for them.
Everything else is decided when the push is due: see `decisions`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Max, Min, Q
from django.utils import timezone

from accounts.kernel.db import writing
from accounts.selectors import longest_lifetime
from messaging.follower.consumer import VersionRange
from messaging.models import Message
from rooms.models import Notify

from .models import DuePush, PushSubscription
from .open_sockets import OpenSockets

MAX_AGE = timedelta(days=1)
"""Of a message: an older one is not pushed any more."""
ROWS_PER_COMMIT = 1000
MAX_RETRY_DELAY = 3600.0
POSTPONED_DELAY = timedelta(seconds=2)
"""Of a push for which there was no place."""


def schedule(ranges: Sequence[VersionRange], sockets: OpenSockets) -> None:
    """Stores a DuePush for each device of members who lack the new messages."""
    now = timezone.now()
    devices = _devices([changes.room_id for changes in ranges], now)
    rows: list[DuePush] = []
    for changes in ranges:
        # Rooms without a device cost nothing more.
        if changes.room_id in devices:
            rows += _due_pushes(changes, devices[changes.room_id], sockets, now)
    for first in range(0, len(rows), ROWS_PER_COMMIT):
        _store(rows[first : first + ROWS_PER_COMMIT])


def live_subscriptions(now: datetime) -> Q:
    """Selects subscriptions whose session has not ended."""
    return Q(session__ended_at=None, session__rotated_at__gt=now - longest_lifetime())


class Device(NamedTuple):
    """A subscription of a member, and what its user has read in the room."""

    subscription_id: int
    user_id: int
    last_read_seq: int


def _devices(room_ids: Sequence[int], now: datetime) -> dict[int, list[Device]]:
    """Returns the devices of members by room, without members who want no pushes."""
    # In one filter, so that all conditions are about the same membership.
    rows = PushSubscription.objects.filter(
        live_subscriptions(now),
        Q(user__memberships__muted=False) | Q(user__memberships__muted_until__lte=now),
        user__memberships__room__in=room_ids,
        user__memberships__notify__in=(Notify.ALL, Notify.MENTIONS),
    )
    found: dict[int, list[Device]] = {}
    for room_id, *device in rows.values_list(
        *("user__memberships__room_id", "pk", "user_id", "user__memberships__last_read_seq")
    ):
        found.setdefault(room_id, []).append(Device(*device))
    return found


def _due_pushes(
    changes: VersionRange, devices: Sequence[Device], sockets: OpenSockets, now: datetime
) -> list[DuePush]:
    # By the index on versions; a message that changed since has a higher one.
    created = Message.objects.filter(
        room_id=changes.room_id,
        version__gt=changes.since,
        created_version__gt=changes.since,
        deleted=False,
        created_at__gt=now - MAX_AGE,
    )
    ends = created.aggregate(newest=Max("seq"), oldest=Min("created_at"))
    if ends["newest"] is None:
        return []
    unread = [one for one in devices if one.last_read_seq < ends["newest"]]
    users = {one.user_id for one in unread}
    online = sockets.users_with_socket(changes.room_id, users).users if users else ()
    due_at = max(ends["oldest"] + timedelta(seconds=settings.CHAT_PUSH_DELAY), now)
    return [
        DuePush(
            subscription_id=one.subscription_id,
            room_id=changes.room_id,
            wanted_seq=ends["newest"],
            due_at=due_at,
            since=now,
        )
        for one in unread
        if one.user_id not in online
    ]


def _store(rows: Sequence[DuePush]) -> None:
    with writing():
        # Those that were deleted meanwhile would break the foreign key.
        devices = PushSubscription.objects.filter(pk__in={row.subscription_id for row in rows})
        stored = set(devices.values_list("pk", flat=True))
        # A row that waits keeps its time: it pushes the newest message then.
        DuePush.objects.bulk_create(
            [row for row in rows if row.subscription_id in stored],
            update_conflicts=True,
            unique_fields=["subscription", "room"],
            update_fields=["wanted_seq"],
        )


def due_after_push(now: datetime) -> datetime:
    """Returns when a device may get the next push of a room (contract §8)."""
    return now + timedelta(seconds=settings.CHAT_PUSH_DELAY)


def due_after_failure(failures: int, retry_after: int | None, now: datetime) -> datetime:
    """Doubles the delay with each failure; a push service may ask for more time."""
    delay = min(settings.CHAT_PUSH_DELAY * 2.0 ** min(failures, 20), MAX_RETRY_DELAY)
    return now + timedelta(seconds=max(delay, min(retry_after or 0, MAX_RETRY_DELAY)))
