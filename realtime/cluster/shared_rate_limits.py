"""Shares rate limits between processes through Redis (contract §4).

The buckets of one process are in `accounts.kernel.rate_limits`. Redis has a clock of its own, so
only durations cross between the two. While Redis is down each process limits alone.
"""

import asyncio
import hashlib
import logging
import math
import threading
from collections.abc import Hashable
from concurrent.futures import TimeoutError as TooLate

from django.conf import settings

from accounts.kernel.rate_limits import Buckets, Rate

from .redis_client import REPLY_TIMEOUT, RedisClients, Reply, reply_in_time

log = logging.getLogger(__name__)

REPORT_INTERVAL = 0.5
MIN_REPORTED_USE = 0.25
"""Fraction of the burst. Lower use is not reported: it is refilled before it matters elsewhere."""
MAX_PENDING_REPORTS = 20_000

# GCRA, in microseconds. Returns {time to wait (0: consumed), time until the bucket is full again}.
# `consumed` is 1 for a report: it counts even if it exceeds the limit.
CONSUME = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step, burst, times = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local consumed = ARGV[4]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + step * times
local wait = full - (now + burst * step)
if wait > 1 and consumed == '0' then
  return {math.ceil(wait), math.ceil(full - step * times - now)}
end
if full <= now then
  redis.call('DEL', KEYS[1])
  return {0, 0}
end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
return {0, math.ceil(full - now)}
"""
MICRO = 1_000_000

Name = tuple[str, Hashable]


class ClusterRateLimiter:
    """Implements `ClusterLimits` of `accounts.kernel.rate_limits`."""

    def __init__(self, redis: RedisClients, buckets: Buckets) -> None:
        self._redis = redis
        self._buckets = buckets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[Name, tuple[Rate, int]] = {}
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts reporting. Call on the loop of the sockets; does nothing without Redis."""
        if self._redis.all:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.ensure_future(self._report_all())

    def consume(self, action: str, key: Hashable, rate: Rate) -> float:
        """Blocks until Redis replies: for threads only. See `ClusterLimits`."""
        if self._loop is None:
            return 0.0
        consumed = asyncio.run_coroutine_threadsafe(
            self._consume((action, key), rate, 1), self._loop
        )
        try:
            return consumed.result(REPLY_TIMEOUT * 2)
        except TooLate:
            log.warning("A rate limit was checked in this process alone: the event loop is busy")
            return 0.0

    def report(self, action: str, key: Hashable, rate: Rate) -> None:
        """May be called on any thread. See `ClusterLimits`."""
        if self._loop is None:
            return
        with self._lock:
            _, times = self._pending.get((action, key), (rate, 0))
            if times or len(self._pending) < MAX_PENDING_REPORTS:
                self._pending[action, key] = rate, times + 1

    def refund(self, action: str, key: Hashable, rate: Rate) -> None:
        """May be called on any thread. See `ClusterLimits`."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(
                self._consume((action, key), rate, -1, is_consumed=True), self._loop
            )

    async def _report_all(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            try:
                await self._report_once()
            except Exception:
                # Without this task each process would count alone until its next start.
                log.exception("Rate limits were not reported to Redis; retrying")

    async def _report_once(self) -> None:
        reports = self._worth_reporting()
        await asyncio.gather(
            *(
                self._consume(name, rate, times, is_consumed=True)
                for name, (rate, times) in reports.items()
            )
        )

    def _worth_reporting(self) -> dict[Name, tuple[Rate, int]]:
        """Removes and returns the pending reports of busy buckets.

        Reports shrink as their bucket refills, and are dropped when it is full. Otherwise the first
        burst of a client that stays below the limit would be charged for minutes.
        """
        due, later = {}, {}
        with self._lock:
            for name, (rate, times) in self._pending.items():
                used = self._buckets.used(*name, rate)
                report = rate, min(times, math.ceil(used * rate.burst))
                if used > MIN_REPORTED_USE:
                    due[name] = report
                elif used > 0:
                    later[name] = report
            self._pending = later
        return due

    async def _consume(
        self, name: Name, rate: Rate, times: int, *, is_consumed: bool = False
    ) -> float:
        """Returns the seconds to wait. `is_consumed`: this process already allowed it."""
        reply = await reply_in_time(self._run(name, rate, times, is_consumed=is_consumed))
        if reply is None:
            return 0.0
        wait, full_in = reply
        self._buckets.note_cluster(*name, full_in / MICRO)
        return float(wait) / MICRO

    def _run(self, name: Name, rate: Rate, times: int, *, is_consumed: bool) -> Reply:
        key = f"rate:{hashlib.sha256(repr(name).encode()).hexdigest()[:32]}"
        step = rate.seconds * MICRO // rate.times
        keys = [f"{settings.REDIS_PREFIX}:{key}"]
        arguments = step, rate.burst, times, int(is_consumed)
        return self._redis.for_key(key).run(CONSUME, keys, *arguments)
