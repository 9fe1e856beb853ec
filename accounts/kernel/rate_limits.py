"""Limits rates with one token bucket for each action and key (contract §4).

A bucket is one float, the time at which it is full again (GCRA), so a check costs a dictionary
look-up. The table is bounded; full buckets are dropped first.

With Redis, limits are shared through `ClusterLimits`. Rare, expensive actions (login, room
creation) check Redis first; messages are counted locally and reported afterwards, so sending never
waits for Redis.
"""

import functools
import re
import threading
import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from .errors import DomainError, RateLimited
from .metrics import count_refusal

PERIODS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_TABLE_SIZE = 100_000
ROUNDING = 1e-9


class Rate(NamedTuple):
    """`times` per `seconds`, with at most `burst` at once."""

    times: int
    seconds: int
    burst: int


def parse_rate(text: str) -> Rate | None:
    """Parses `20/s` or `60/h`; `off` is None.

    A rate per second has a burst of two seconds.
    """
    if text.strip().lower() == "off":
        return None
    match = re.fullmatch(r"\s*([1-9]\d{0,8})\s*/\s*([smhd])\s*", text)
    if match is None:
        raise ValueError("must look like 20/s, 10/m, 60/h or off")
    count, period = int(match[1]), match[2]
    return Rate(count, PERIODS[period], count * 2 if period == "s" else count)


class Bucket:
    """A token bucket, stored as the time at which it is full again."""

    __slots__ = ("full_at",)

    def __init__(self) -> None:
        self.full_at = 0.0

    def consume(self, rate: Rate, now: float) -> float:
        """Consumes one token and returns 0.0, or returns the seconds to wait."""
        step = rate.seconds / rate.times
        full_at = max(self.full_at, now) + step
        wait = full_at - (now + rate.burst * step)
        if wait > ROUNDING:
            return wait
        self.full_at = full_at
        return 0.0

    def charge(self, rate: Rate, now: float, times: int) -> None:
        """Consumes tokens that may be missing: later calls wait for them."""
        self.full_at = max(self.full_at, now) + times * rate.seconds / rate.times


class Buckets:
    """Holds buckets by action and key.

    Thread-safe: REST counts in threads, sockets on the loop.
    """

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, Hashable], Bucket] = {}
        self._lock = threading.Lock()

    def consume(self, action: str, key: Hashable, rate: Rate) -> float:
        now = time.monotonic()
        with self._lock:
            if len(self._buckets) >= MAX_TABLE_SIZE:
                self._forget_full(now)
            return self._buckets.setdefault((action, key), Bucket()).consume(rate, now)

    def refund(self, action: str, key: Hashable, rate: Rate) -> None:
        """Undoes a `consume`, unless the bucket was dropped meanwhile."""
        with self._lock:
            bucket = self._buckets.get((action, key))
            if bucket is not None:
                bucket.full_at -= rate.seconds / rate.times

    def used(self, action: str, key: Hashable, rate: Rate) -> float:
        """Returns the consumed share of the burst, from 0 to 1."""
        with self._lock:
            bucket = self._buckets.get((action, key))
        left = bucket.full_at - time.monotonic() if bucket else 0.0
        return max(0.0, left) * rate.times / rate.seconds / rate.burst

    def note_cluster(self, action: str, key: Hashable, full_in: float) -> None:
        """Notes in how many seconds the bucket of all processes is full."""
        full_at = time.monotonic() + full_in
        with self._lock:
            bucket = self._buckets.setdefault((action, key), Bucket())
            bucket.full_at = max(bucket.full_at, full_at)

    def clear(self) -> None:
        with self._lock:
            self._buckets.clear()

    def _forget_full(self, now: float) -> None:
        self._buckets = {key: one for key, one in self._buckets.items() if one.full_at > now}
        if len(self._buckets) >= MAX_TABLE_SIZE:
            # A client fills the table faster than buckets fill up. The fullest buckets are dropped,
            # so heavy users stay limited. A tenth at once, because sorting is expensive.
            by_emptiness = sorted(self._buckets.items(), key=lambda item: -item[1].full_at)
            self._buckets = dict(by_emptiness[: MAX_TABLE_SIZE * 9 // 10])


buckets = Buckets()


class ClusterLimits(Protocol):
    """The limits that all processes of a cluster share."""

    def consume(self, action: str, key: Hashable, rate: Rate) -> float:
        """Returns the seconds to wait.

        0.0 when consumed, or when the cluster is not reachable.
        """

    def report(self, action: str, key: Hashable, rate: Rate) -> None:
        """Notes a token consumed in this process, for a later report to the cluster."""

    def refund(self, action: str, key: Hashable, rate: Rate) -> None:
        """Undoes a `consume`, some time later."""


@functools.cache
def _cluster() -> ClusterLimits:
    """Returns what `settings.CLUSTER_LIMITS` names: no app imports sockets."""
    limits: ClusterLimits = import_string(settings.CLUSTER_LIMITS)
    return limits


def consume(setting: str, key: Hashable) -> None:
    """Consumes one of the rate in `settings.<setting>`, in all processes.

    For threads: it waits for the cluster. Raises RateLimited with `retry_after`.
    """
    rate = consume_in_process(setting, key)
    if rate is None:
        return
    wait = _cluster().consume(setting, key, rate)
    if wait > 0:
        count_refusal(setting)
        raise RateLimited(retry_after=wait)


@contextmanager
def consume_unless_refused(setting: str, key: Hashable) -> Iterator[None]:
    """Consumes one of a rate and refunds it when the block raises a DomainError."""
    consume(setting, key)
    try:
        yield
    except DomainError:
        refund(setting, key)
        raise


def refund(setting: str, key: Hashable) -> None:
    """Undoes a `consume` of an action that did not take place."""
    rate: Rate | None = getattr(settings, setting)
    if rate is None:
        return
    buckets.refund(setting, key, rate)
    _cluster().refund(setting, key, rate)


def consume_locally(setting: str, key: Hashable) -> None:
    """Consumes one without waiting; the cluster gets a report later."""
    rate = consume_in_process(setting, key)
    if rate is None:
        return
    _cluster().report(setting, key, rate)


def consume_in_process(setting: str, key: Hashable) -> Rate | None:
    """Consumes one in this process only and returns the rate, None when it is off."""
    rate: Rate | None = getattr(settings, setting)
    if rate is not None:
        wait = buckets.consume(setting, key, rate)
        if wait > 0:
            count_refusal(setting)
            raise RateLimited(retry_after=wait)
    return rate
