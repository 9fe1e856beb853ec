"""Lets one process at a time run a consumer, by a database row that expires.

The clock is the database's: clocks of hosts may differ.
"""

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from accounts.kernel.db import writing
from messaging.models import Message

from .models import Follower, LaterChange

log = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3


class LeaseLost(Exception):
    """Another process runs the consumer: this one renewed its lease too late."""


class Lease:
    """The right of this process to run one consumer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._holder = uuid.uuid4().hex[:16]
        self._renew_at = 0.0
        self.is_held = False

    def hold(self) -> bool:
        """Acquires the lease or renews it in time. Returns whether this process has it."""
        if self.is_held and time.monotonic() < self._renew_at:
            return True
        asked_at = time.monotonic()
        was_held, self.is_held = self.is_held, self._compare_and_set()
        self._renew_at = asked_at + settings.CHAT_FOLLOWER_TTL / RENEWALS_PER_LEASE
        if self.is_held != was_held:
            verb = "follows" if self.is_held else "stopped following"
            log.info("This process (%s) %s %s", self._holder, verb, self._name)
        return self.is_held

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """Opens a transaction that fails when the lease is lost.

        The row stays locked until the commit, so no other process acquires the lease meanwhile.
        Raises LeaseLost.
        """
        with writing():
            row = self._locked_row()
            if row is None or row[0] != self._holder or not _is_later(row[1], row[2]):
                self.is_held = False
                raise LeaseLost
            yield

    def release(self) -> None:
        """Ends the lease now, so that another process continues at once."""
        if self.is_held:
            self.is_held = False
            rows = Follower.objects.filter(name=self._name, holder=self._holder)
            with writing():
                rows.update(expires_at=Now())

    def _compare_and_set(self) -> bool:
        # Read without a lock first: a process that waits for its turn must not write.
        row = self._rows().first()
        if row is None:
            return self._register()
        if row[0] != self._holder and _is_later(row[1], row[2]):
            return False
        with writing():
            row = self._locked_row()
            if row is None or (row[0] != self._holder and _is_later(row[1], row[2])):
                return False
            expires_at = row[2] + timedelta(seconds=settings.CHAT_FOLLOWER_TTL)
            Follower.objects.filter(name=self._name).update(
                holder=self._holder, expires_at=expires_at
            )
        return True

    def _register(self) -> bool:
        """Stores a new consumer, which begins now: earlier changes are not its concern."""
        with writing():
            Follower.objects.bulk_create(
                [
                    Follower(
                        name=self._name,
                        message_id=_last_id(Message),
                        change_id=_last_id(LaterChange),
                    )
                ],
                ignore_conflicts=True,
            )
        return self._compare_and_set()

    def _rows(self) -> Any:
        rows = Follower.objects.filter(name=self._name).annotate(clock=Now())
        return rows.values_list("holder", "expires_at", "clock")

    def _locked_row(self) -> tuple[str, datetime | None, datetime] | None:
        row: tuple[str, datetime | None, datetime] | None = self._rows().select_for_update().first()
        return row


def _is_later(expires_at: datetime | None, clock: datetime) -> bool:
    return expires_at is not None and expires_at > clock


def _last_id(model: type[Message] | type[LaterChange]) -> int:
    return model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
