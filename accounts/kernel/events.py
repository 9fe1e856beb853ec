"""Publishes events after their transaction has committed.

A service calls `publish` inside its transaction. `realtime/receivers.py` turns each event into a
frame; services do not know the receivers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

committed = Signal()
"""The signal for receivers; `events` is a sequence of Event in the order of their commits."""


@dataclass(frozen=True, slots=True)
class Event:
    """Is the base of all events: named in the past tense, with plain values only."""


def publish(event: Event) -> None:
    """Publishes an event after the current transaction, at once without one.

    `robust`: a failing receiver must not turn a stored write into an error for the caller.
    """
    transaction.on_commit(lambda: publish_committed([event]), robust=True)


def publish_committed(events: Sequence[Event]) -> None:
    """Publishes events whose transaction has committed already."""
    committed.send(sender=Event, events=events)
