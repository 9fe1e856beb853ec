"""Reads push subscriptions."""

from django.db.models import QuerySet
from django.utils import timezone

from .models import PushSubscription
from .schedule import live_subscriptions


def subscriptions_of(user_id: int) -> QuerySet[PushSubscription]:
    """Returns the user's subscriptions of sessions that have not ended."""
    unexpired = live_subscriptions(timezone.now())
    return PushSubscription.objects.filter(unexpired, user_id=user_id)
