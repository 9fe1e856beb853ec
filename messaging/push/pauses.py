"""Decides when a device is pushed again, after a push or a failure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts.kernel.db import writing

from .decisions import Decision, Drop, Postpone
from .metrics import pushes
from .models import DuePush, PushSubscription
from .sending import Outcome, Result

MAX_RETRY_DELAY = 3600.0
POSTPONED_DELAY = timedelta(seconds=2)


def store_unsent(unsent: Sequence[tuple[DuePush, Decision]]) -> None:
    """Postpones or deletes pushes that were not sent."""
    if not unsent:
        return
    with writing():
        for row, decision in unsent:
            if isinstance(decision, Postpone):
                DuePush.objects.filter(pk=row.pk).update(due_at=decision.until)
            else:
                # A message that was scheduled meanwhile keeps the row.
                DuePush.objects.filter(pk=row.pk, wanted_seq=row.wanted_seq).delete()
    given_up = sum(isinstance(one, Drop) and one.given_up for _, one in unsent)
    if given_up:
        pushes.labels("given_up").inc(given_up)


def store_result(row: DuePush, seq: int, result: Result) -> None:
    """Sets when the device may be pushed again in the room. Call in a transaction."""
    now = timezone.now()
    device = PushSubscription.objects.filter(pk=row.subscription_id)
    if result.outcome == Outcome.GONE:
        device.delete()
        return
    this = DuePush.objects.filter(pk=row.pk)
    if result.outcome == Outcome.SENT:
        rests_until = now + timedelta(seconds=settings.CHAT_PUSH_DELAY)
        this.update(pushed_seq=seq, due_at=rests_until, since=now)
        if row.subscription.failures:
            device.update(failures=0, retry_at=None)
        return
    if result.outcome == Outcome.POSTPONED:
        # The device did not fail, so that its next attempt needs no growing delay.
        this.update(due_at=now + POSTPONED_DELAY)
        return
    retry_at = _retry_at(row.subscription.failures, result.retry_after, now)
    device.update(failures=F("failures") + 1, retry_at=retry_at)
    this.update(due_at=retry_at)


def _retry_at(failures: int, retry_after: int | None, now: datetime) -> datetime:
    """Doubles the delay with each failure; a push service may ask for more time."""
    delay = min(settings.CHAT_PUSH_DELAY * 2.0 ** min(failures, 20), MAX_RETRY_DELAY)
    return now + timedelta(seconds=max(delay, min(retry_after or 0, MAX_RETRY_DELAY)))
