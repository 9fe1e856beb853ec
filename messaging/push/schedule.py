"""Notes which devices may have to be told about new messages.

Users with an open socket in the room have received the messages, so nothing is noted for them.
Everything else is decided when the push is due: see `decisions`.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

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


def schedule(changes: VersionRange, sockets: OpenSockets) -> None:
    """Stores a DuePush for each device of members who have not received the new messages."""
    now = timezone.now()
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
        return
    devices = _devices(changes.room_id, ends["newest"], now)
    while some := list(islice(devices, ROWS_PER_COMMIT)):
        online = sockets.users_with_socket(changes.room_id, {user_id for _, user_id in some})
        away = [device for device, user_id in some if user_id not in online.users]
        _store(changes.room_id, away, ends["newest"], ends["oldest"])


def live_subscriptions(now: datetime) -> Q:
    """Selects subscriptions whose session has not ended."""
    return Q(session__ended_at=None, session__rotated_at__gt=now - longest_lifetime())


def _devices(room_id: int, newest: int, now: datetime) -> Iterator[tuple[int, int]]:
    """Yields subscriptions and users of members who have not read everything."""
    # In one filter, so that all conditions are about the same membership.
    rows = PushSubscription.objects.filter(
        live_subscriptions(now),
        Q(user__memberships__muted=False) | Q(user__memberships__muted_until__lte=now),
        user__memberships__room_id=room_id,
        user__memberships__last_read_seq__lt=newest,
        user__memberships__notify__in=(Notify.ALL, Notify.MENTIONS),
    )
    yield from rows.values_list("pk", "user_id")


def _store(room_id: int, devices: Sequence[int], newest: int, oldest: datetime) -> None:
    if not devices:
        return
    now = timezone.now()
    due_at = max(oldest + timedelta(seconds=settings.CHAT_PUSH_DELAY), now)
    with writing():
        # Those that were deleted meanwhile would break the foreign key.
        stored = PushSubscription.objects.filter(pk__in=devices).values_list("pk", flat=True)
        rows = [
            DuePush(
                subscription_id=device,
                room_id=room_id,
                wanted_seq=newest,
                due_at=due_at,
                since=now,
            )
            for device in stored
        ]
        # A row that waits keeps its time: it pushes the newest message then.
        DuePush.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["subscription", "room"],
            update_fields=["wanted_seq"],
        )
