"""Tells how far a follower is behind."""

from django.utils import timezone

from messaging.models import Message

from .models import Follower

MIN_LAG = 2.0
"""Seconds. A message this young is about to be handled."""


def lag_seconds(consumer: str) -> float:
    """Returns the age of the oldest message that is not settled, 0.0 without one."""
    place = Follower.objects.filter(name=consumer).values_list("message_id", flat=True).first()
    if place is None:
        return 0.0
    beyond = Message.objects.filter(pk__gt=place).order_by("pk")
    oldest = beyond.values_list("created_at", flat=True).first()
    lag = (timezone.now() - oldest).total_seconds() if oldest else 0.0
    return lag if lag > MIN_LAG else 0.0
