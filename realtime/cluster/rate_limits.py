"""Counts rates of all processes together, in Redis (contract §4).

The buckets of one process are in `accounts.kernel.rate_limits`.

The bucket of Redis runs on its clock, ours on our own: only spans of time cross between them. While
Redis is away each process counts by itself.
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

from .leases import answered
from .redis_client import ANSWER_TIMEOUT, Answer, RedisClients

log = logging.getLogger(__name__)

REPORT_INTERVAL = 0.5
MIN_REPORTED_USE = 0.25
"""Of the burst: whoever uses less costs nothing, and has it back before it matters to others."""
MAX_PENDING_REPORTS = 20_000

# GCRA, in microseconds: {how long to wait (0: taken), how long until the bucket is full again}.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step, burst, times, told = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + step * times
local wait = full - (now + burst * step)
if wait > 1 and told == '0' then
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
    """A `ClusterLimits` of `accounts.kernel.rate_limits`."""

    def __init__(self, hosts: RedisClients, buckets: Buckets) -> None:
        self._hosts = hosts
        self._buckets = buckets
        self._loop: asyncio.AbstractEventLoop | None = None
        self._notes: dict[Name, tuple[Rate, int]] = {}
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """On the loop of the sockets; does nothing for a process that has no Redis."""
        if self._hosts.all:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.ensure_future(self._report_all())

    def consume(self, action: str, key: Hashable, rate: Rate) -> float:
        """For threads. See `ClusterLimits`."""
        if self._loop is None:
            return 0.0
        asked = asyncio.run_coroutine_threadsafe(self._consume((action, key), rate, 1), self._loop)
        try:
            return asked.result(ANSWER_TIMEOUT * 2)
        except TooLate:
            log.warning("A rate was counted in this process alone: its loop is busy")
            return 0.0

    def report(self, action: str, key: Hashable, rate: Rate) -> None:
        """From any thread. See `ClusterLimits`."""
        if self._loop is None:
            return
        with self._lock:
            _, times = self._notes.get((action, key), (rate, 0))
            if times or len(self._notes) < MAX_PENDING_REPORTS:
                self._notes[action, key] = rate, times + 1

    def refund(self, action: str, key: Hashable, rate: Rate) -> None:
        """From any thread. See `ClusterLimits`."""
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(
                self._consume((action, key), rate, -1, told=1), self._loop
            )

    async def _report_all(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            try:
                await self._report_once()
            except Exception:
                # Without this task each process would count alone until its next start.
                log.exception("Rates were not shared with the other processes; trying again")

    async def _report_once(self) -> None:
        notes = self._worth_reporting()
        await asyncio.gather(
            *(self._consume(name, rate, times, told=1) for name, (rate, times) in notes.items())
        )

    def _worth_reporting(self) -> dict[Name, tuple[Rate, int]]:
        """Takes the notes of busy buckets out, and forgets those of buckets that are full again.

        And in part what has come back to a bucket in part: who stays below a rate all the time
        would be charged for minutes at the first burst.
        """
        busy, quiet = {}, {}
        with self._lock:
            for name, (rate, times) in self._notes.items():
                used = self._buckets.used(*name, rate)
                note = rate, min(times, math.ceil(used * rate.burst))
                if used > MIN_REPORTED_USE:
                    busy[name] = note
                elif used > 0:
                    quiet[name] = note
            self._notes = quiet
        return busy

    async def _consume(self, name: Name, rate: Rate, times: int, told: int = 0) -> float:
        """Seconds to wait; what is `told` was taken already and counts whatever the answer."""
        answer = await answered(self._ask(name, rate, times, told))
        if answer is None:
            return 0.0
        wait, full_in = answer
        self._buckets.note_cluster(*name, full_in / MICRO)
        return float(wait) / MICRO

    def _ask(self, name: Name, rate: Rate, times: int, told: int) -> Answer:
        key = f"rate:{hashlib.sha256(repr(name).encode()).hexdigest()[:32]}"
        step = rate.seconds * MICRO // rate.times
        host = self._hosts.of(key)
        return host.ask(TAKE, [f"{settings.REDIS_PREFIX}:{key}"], step, rate.burst, times, told)
