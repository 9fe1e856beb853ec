"""What one process tells the others of the messages that it let through."""

import asyncio
from typing import cast

import pytest

from accounts.kernel import rate_limits
from accounts.kernel.rate_limits import Buckets, Rate
from realtime.cluster import rate_limits as module
from realtime.cluster.rate_limits import MIN_REPORTED_USE, REPORT_INTERVAL, ClusterRateLimiter, Name
from realtime.cluster.redis_client import RedisClient, RedisClients

RATE = Rate(20, 1, 40)
WHAT, WHO = "CHAT_MESSAGE_RATE", 7


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Reported(ClusterRateLimiter):
    """Remembers how many it would tell; the test says when half a second is over."""

    def __init__(self, buckets: Buckets) -> None:
        hosts = RedisClients()
        hosts.all = [cast(RedisClient, object())]  # never called
        super().__init__(hosts, buckets)
        self.reported: list[int] = []

    def look(self) -> None:
        self.reported += [times for _, times in self._worth_reporting().values()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limits, "time", clock)
    return clock


async def test_who_stays_below_a_rate_is_not_charged_for_it_at_the_first_burst(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 3600)
    buckets = Buckets()
    shared = Reported(buckets)
    shared.start()

    def send() -> None:
        assert buckets.consume(WHAT, WHO, RATE) == 0
        shared.report(WHAT, WHO, RATE)

    looked = clock.now
    for _ in range(19 * 60):
        clock.now += 1 / 19
        send()
        if clock.now - looked >= REPORT_INTERVAL:
            looked = clock.now
            shared.look()
    assert shared.reported == []
    burst = int(RATE.burst * MIN_REPORTED_USE) + 1
    for _ in range(burst):
        send()
    shared.look()
    assert len(shared.reported) == 1
    assert burst <= shared.reported[0] <= burst + 1


async def test_the_task_that_shares_rates_survives_any_exception(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORT_INTERVAL", 0.001)
    shared = Reported(Buckets())
    looks = 0
    goes_on = asyncio.Event()

    def look() -> dict[Name, tuple[Rate, int]]:
        nonlocal looks
        looks += 1
        if looks < 3:
            raise RuntimeError("broken")
        goes_on.set()
        return {}

    monkeypatch.setattr(shared, "_worth_reporting", look)
    shared.start()
    await asyncio.wait_for(goes_on.wait(), 5)
