"""Publishes what happened, after it was stored.

A service calls `publish` inside its transaction; the event goes out once that has committed. Who
listens is not known here: `realtime/receivers.py` turns each event into a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

committed = Signal()
"""Sent with `events`, a sequence of Event in the order of their commits."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events: named in the past tense, holding ids and plain values only."""


def publish(event: Event) -> None:
    """Tell the event after the current transaction; at once when there is none.

    `robust`: a failing listener must not turn a stored write into an error for its author.
    """
    transaction.on_commit(lambda: publish_committed([event]), robust=True)


def publish_committed(events: Sequence[Event]) -> None:
    """Tell events whose transaction has committed already."""
    committed.send(sender=Event, events=events)
