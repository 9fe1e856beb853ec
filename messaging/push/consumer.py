"""Pushes new messages to members who are away: the consumer of a follower."""

import time
from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from accounts.kernel.db import writing
from messaging.follower.consumer import VersionRange

from .delivery import Delivery
from .models import PushSubscription
from .open_sockets import OpenSockets
from .schedule import live_subscriptions, schedule

NAME = "push"
ENDED_INTERVAL = 5.0
ENDED_WINDOW = timedelta(minutes=5)
"""Sessions that ended this long ago are looked up by the index on their end."""
SWEEP_INTERVAL = 3600.0
"""Between looks at all subscriptions, for sessions that expired."""


class PushConsumer:
    """Schedules a push for each device that missed a message, and sends what is due."""

    name = NAME
    # Only the newest message of a range is looked up, so a range may be of any size.
    max_versions = 2**31

    def __init__(self, sockets: OpenSockets) -> None:
        self._sockets = sockets
        self._delivery = Delivery(sockets)
        self._ended_at = self._swept_at = 0.0

    def handle(self, ranges: Sequence[VersionRange]) -> None:
        if not PushSubscription.objects.exists():
            return
        schedule(ranges, self._sockets)

    def work(self) -> bool:
        self._forget_ended()
        return self._delivery.run()

    def close(self) -> None:
        self._delivery.close()

    def _forget_ended(self) -> None:
        """Deletes the subscriptions of ended sessions, which nothing uses any more."""
        now = time.monotonic()
        ended = PushSubscription.objects.filter(session__ended_at__gt=timezone.now() - ENDED_WINDOW)
        if not self._swept_at or now - self._swept_at >= SWEEP_INTERVAL:
            self._swept_at = now
            ended = PushSubscription.objects.exclude(live_subscriptions(timezone.now()))
        elif now - self._ended_at < ENDED_INTERVAL:
            return
        self._ended_at = now
        pks = list(ended.values_list("pk", flat=True))
        if pks:
            with writing():
                PushSubscription.objects.filter(pk__in=pks).delete()
