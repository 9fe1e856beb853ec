"""Reports locally counted messages to the other processes."""

import asyncio
from typing import cast

import pytest

from accounts.kernel import rate_limits
from accounts.kernel.rate_limits import Buckets, Rate
from realtime.cluster import shared_rate_limits as module
from realtime.cluster.redis_client import RedisClient, RedisClients
from realtime.cluster.shared_rate_limits import (
    MIN_REPORTED_USE,
    REPORT_INTERVAL,
    ClusterRateLimiter,
    Name,
)

RATE = Rate(20, 1, 40)
WHAT, USER_ID = "CHAT_MESSAGE_RATE", 7


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class RecordingRateLimiter(ClusterRateLimiter):
    """Records the counts that it would report, when the test asks for it."""

    def __init__(self, buckets: Buckets) -> None:
        hosts = RedisClients()
        hosts.all = [cast(RedisClient, object())]  # never called
        super().__init__(hosts, buckets)
        self.reported: list[int] = []

    def record_report(self) -> None:
        self.reported += [times for _, times in self._worth_reporting().values()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limits, "time", clock)
    return clock


async def test_use_below_the_rate_is_not_reported_with_the_first_burst(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 3600)
    buckets = Buckets()
    limiter = RecordingRateLimiter(buckets)
    limiter.start()

    def send() -> None:
        assert buckets.consume(WHAT, USER_ID, RATE) == 0
        limiter.report(WHAT, USER_ID, RATE)

    reported_at = clock.now
    for _ in range(19 * 60):
        clock.now += 1 / 19
        send()
        if clock.now - reported_at >= REPORT_INTERVAL:
            reported_at = clock.now
            limiter.record_report()
    assert limiter.reported == []
    burst = int(RATE.burst * MIN_REPORTED_USE) + 1
    for _ in range(burst):
        send()
    limiter.record_report()
    assert len(limiter.reported) == 1
    assert burst <= limiter.reported[0] <= burst + 1


async def test_report_task_survives_any_exception(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 0.001)
    limiter = RecordingRateLimiter(Buckets())
    calls = 0
    continues = asyncio.Event()

    def fail_twice() -> dict[Name, tuple[Rate, int]]:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise RuntimeError("broken")
        continues.set()
        return {}

    monkeypatch.setattr(limiter, "_worth_reporting", fail_twice)
    limiter.start()
    await asyncio.wait_for(continues.wait(), 5)
