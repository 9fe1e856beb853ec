"""Sends the pushes that are due and stores their outcomes.

Requests run in threads; every decision and every write is made by the follower's thread. At most
one request per device runs at a time; `request_slots.py` bounds those of a user and of a slow host.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.utils import timezone

from accounts.kernel.db import writing

from .connection_pool import pool
from .decisions import Decision, Send, decide
from .metrics import pushes
from .models import DuePush
from .open_sockets import OpenSockets
from .outcomes import Result, store_result, store_unsent
from .request_slots import RequestSlots
from .sending import Push, send, topic_of
from .vapid import VapidKeys, vapid_keys

FULL_DELAY = 0.1
Running = tuple[DuePush, Send, "Future[Result]"]


class Delivery:
    """Sends due pushes while this process has the lease."""

    def __init__(self, sockets: OpenSockets) -> None:
        self._sockets = sockets
        self._threads = ThreadPoolExecutor(
            settings.CHAT_PUSH_THREADS, thread_name_prefix="push-send"
        )
        self._slots = RequestSlots(settings.CHAT_PUSH_THREADS)
        self._running: dict[int, Running] = {}

    def run(self) -> bool:
        """Stores finished pushes and starts due ones. Returns whether more is due now."""
        keys = vapid_keys()
        if keys is None:
            return False
        self._store_finished()
        free = self._slots.free
        if not free:
            self._wait_for_answer()
            return True
        rows = self._due_rows(free)
        self._carry_out(decide(_one_per_device(rows), self._sockets), keys)
        if len(rows) == free:
            return True
        # Rows of a user or host with its share may wait for the next slot.
        is_short = bool(self._slots.full_users() or self._slots.full_hosts())
        return is_short and self._wait_for_answer()

    def close(self) -> None:
        """Lets running requests end, without their outcome: these pushes are repeated."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        pool.clear()

    def _wait_for_answer(self) -> bool:
        """Waits shortly for a running request to end. Returns whether one has."""
        answers = [one[2] for one in self._running.values()]
        return bool(wait(answers, FULL_DELAY, FIRST_COMPLETED).done)

    def _due_rows(self, limit: int) -> list[DuePush]:
        due = DuePush.objects.filter(due_at__lte=timezone.now())
        due = due.exclude(subscription__in=list(self._running))
        due = due.exclude(subscription__user__in=self._slots.full_users())
        due = due.exclude(subscription__host__in=self._slots.full_hosts())
        loaded = due.select_related("subscription__session", "subscription__user", "room")
        return list(loaded.order_by("due_at")[:limit])

    def _carry_out(self, decided: Sequence[tuple[DuePush, Decision]], keys: VapidKeys) -> None:
        unsent = []
        for row, decision in decided:
            if not isinstance(decision, Send):
                unsent.append((row, decision))
            elif self._slots.acquire(row.subscription.user_id, row.subscription.host):
                self._start(row, decision, keys)
        store_unsent(unsent)

    def _start(self, row: DuePush, decision: Send, keys: VapidKeys) -> None:
        device = row.subscription
        push = Push(
            endpoint=device.endpoint,
            p256dh=device.p256dh,
            auth=device.auth,
            topic=topic_of(row.room_id),
            payload=decision.payload,
        )
        self._running[device.pk] = (row, decision, self._threads.submit(send, push, keys))

    def _store_finished(self) -> None:
        finished = [one for one in self._running.values() if one[2].done()]
        if not finished:
            return
        with writing():
            for row, decision, answer in finished:
                store_result(row, decision.seq, answer.result())
        # After the commit: where that fails, they are stored at the next attempt.
        for row, _, answer in finished:
            result, device = answer.result(), row.subscription
            pushes.labels(result.outcome).inc()
            self._slots.release(device.user_id, device.host, seconds=result.seconds)
            del self._running[device.pk]


def _one_per_device(rows: Iterable[DuePush]) -> list[DuePush]:
    by_device: dict[int, DuePush] = {}
    for row in rows:
        by_device.setdefault(row.subscription_id, row)
    return list(by_device.values())
