"""Decides what the answer of a push service means, and stores it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import F
from django.utils import timezone

from accounts.kernel.db import writing

from .decisions import Decision, Drop, Postpone
from .metrics import pushes
from .models import DuePush, PushSubscription
from .schedule import POSTPONED_DELAY, due_after_failure, due_after_push

GONE = frozenset({404, 410})
"""Statuses of an endpoint that no longer exists."""


class Outcome(StrEnum):
    SENT = "sent"
    GONE = "gone"
    FAILED = "failed"
    POSTPONED = "postponed"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a push, and the seconds that its service took."""

    outcome: Outcome
    retry_after: int | None = None
    seconds: float = 0.0


def result_of(status: int, retry_after: int | None) -> Result:
    """Returns what the status of a push service means."""
    if status in GONE:
        return Result(Outcome.GONE)
    if status // 100 == 2:  # noqa: PLR2004 - success
        return Result(Outcome.SENT)
    return Result(Outcome.FAILED, retry_after)


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
    """Sets when the device is pushed again in the room, or deletes one that is gone.

    Call in a transaction.
    """
    now = timezone.now()
    device = PushSubscription.objects.filter(pk=row.subscription_id)
    if result.outcome == Outcome.GONE:
        device.delete()
        return
    this = DuePush.objects.filter(pk=row.pk)
    if result.outcome == Outcome.SENT:
        this.update(pushed_seq=seq, due_at=due_after_push(now), since=now)
        if row.subscription.failures:
            device.update(failures=0, retry_at=None)
        return
    if result.outcome == Outcome.POSTPONED:
        # The device did not fail, so that its next attempt needs no growing delay.
        this.update(due_at=now + POSTPONED_DELAY)
        return
    retry_at = due_after_failure(row.subscription.failures, result.retry_after, now)
    device.update(failures=F("failures") + 1, retry_at=retry_at)
    this.update(due_at=retry_at)
