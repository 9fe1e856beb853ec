"""Runs a consumer: passes it the changes of rooms, then advances its cursors.

A consumer has a thread and a lease of its own, so that a slow one delays no other. A crash repeats
at most the step that was running: one call of `handle`.
"""

import logging
import threading
import time
from collections.abc import Sequence

from django.conf import settings
from django.db import Error, connection

from accounts.kernel.db_connections import release_connection
from accounts.kernel.errors import Busy

from .changed_rooms import Position, Settlement, find_changed, position_of, ranges_of
from .consumer import Consumer, VersionRange
from .lag import lag_seconds
from .lease import Lease, LeaseLost
from .metrics import follower_lag
from .models import Cursor, Follower, LaterChange

log = logging.getLogger(__name__)

ROOMS_PER_STEP = 50
RETRY_DELAY = 5.0
LOG_INTERVAL = 60.0
PRUNE_INTERVAL = 60.0
PRUNED_ROWS = 5000
"""In one transaction: on SQLite senders wait for it."""


class FollowerThread:
    """Runs one consumer in a thread while this process has its lease."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._lease = Lease(consumer.name)
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self.run, name=f"follower-{consumer.name}", daemon=True
        )
        self._position: Position | None = None
        self._settlement = Settlement()
        self._logged_at = -LOG_INTERVAL
        self._prune_at = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Ends the step that is running, then gives up the lease."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def run(self) -> None:
        """Follows until `stop`."""
        while not self._stopping.is_set():
            delay = self._run_once()
            release_connection()
            self._stopping.wait(delay)
        try:
            self._lease.release()
        except (Error, Busy):
            log.info("The lease of %s was not released: it expires", self._consumer.name)
        self._consumer.close()
        connection.close()

    def _run_once(self) -> float:
        """Does one round. Returns the seconds until the next one."""
        try:
            if not self._lease.hold():
                self._position = None
                follower_lag.labels(self._consumer.name).set(lag_seconds(self._consumer.name))
                return settings.CHAT_FOLLOWER_TTL / 3
            more = self.follow()
        except LeaseLost:
            self._position = None
            return 0.0
        except (Error, Busy) as error:
            # Also without migrations: the server reports these by itself.
            self._warn(type(error).__name__)
            connection.close()
            return RETRY_DELAY
        except Exception:
            log.exception("The follower %s failed and continues", self._consumer.name)
            return RETRY_DELAY
        return 0.0 if more else settings.CHAT_FOLLOWER_INTERVAL

    def _warn(self, reason: str) -> None:
        if time.monotonic() - self._logged_at >= LOG_INTERVAL:
            self._logged_at = time.monotonic()
            log.warning("The follower %s waits for the database: %s", self._consumer.name, reason)

    def follow(self) -> bool:
        """Handles what has changed and what is due. Returns whether more is due now."""
        if self._position is None:
            self._position, self._settlement = position_of(self._consumer.name), Settlement()
        found = find_changed(self._position)
        rooms = sorted(found.first_versions)
        for first in range(0, len(rooms), ROOMS_PER_STEP):
            some = rooms[first : first + ROOMS_PER_STEP]
            self._follow_rooms({room: found.first_versions[room] for room in some})
        self._settlement.note_handled(found)
        self._advance_position()
        self._prune()
        follower_lag.labels(self._consumer.name).set(0)
        return self._consumer.work()

    def _follow_rooms(self, first_versions: dict[int, int]) -> None:
        name = self._consumer.name
        most = self._consumer.max_versions
        while ranges := ranges_of(name, first_versions, max_versions=most):
            if self._stopping.is_set() or not self._lease.hold():
                raise LeaseLost
            self._consumer.handle(ranges)
            self._advance_cursors(ranges)
            behind = {one.room_id for one in ranges if one.until - one.since == most}
            first_versions = {room: first_versions[room] for room in behind}

    def _advance_cursors(self, ranges: Sequence[VersionRange]) -> None:
        with self._lease.fenced():
            Cursor.objects.bulk_create(
                [
                    Cursor(consumer_id=self._consumer.name, room_id=one.room_id, version=one.until)
                    for one in ranges
                ],
                update_conflicts=True,
                unique_fields=["consumer", "room"],
                update_fields=["version"],
            )

    def _advance_position(self) -> None:
        position = self._settlement.settled()
        if position is None:
            return
        with self._lease.fenced():
            Follower.objects.filter(name=self._consumer.name).update(**position._asdict())
        self._position = position

    def _prune(self) -> None:
        """Deletes the log entries that every follower has passed."""
        if time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + PRUNE_INTERVAL
        passed = Follower.objects.order_by("change_id").values_list("change_id", flat=True).first()
        old = LaterChange.objects.filter(pk__lte=passed or 0).order_by("pk")
        while pks := list(old.values_list("pk", flat=True)[:PRUNED_ROWS]):
            with self._lease.fenced():
                LaterChange.objects.filter(pk__lte=pks[-1]).delete()
