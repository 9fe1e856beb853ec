"""Token buckets: burst, refill and the limit of their table."""

import pytest
from pytest_django import Settings

from accounts.kernel import rate_limits
from accounts.kernel.errors import Forbidden, RateLimited
from accounts.kernel.rate_limits import (
    Bucket,
    Buckets,
    Rate,
    consume,
    consume_unless_refused,
    parse_rate,
)
from tests.factories import run_concurrently


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(rate_limits, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/s", Rate(20, 1, 40)),
        ("10/m", Rate(10, 60, 10)),
        (" 60 / h ", Rate(60, 3600, 60)),
        ("1/d", Rate(1, 86400, 1)),
        ("off", None),
        ("OFF", None),
    ],
)
def test_rate_text_is_parsed(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "20", "0/s", "-1/s", "1.5/s", "20/x", "20/ms", "s/20", "1e3/s"]
)
def test_invalid_rate_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        parse_rate(text)


def test_burst_passes_at_once_and_the_next_call_waits() -> None:
    bucket, rate = Bucket(), Rate(10, 60, 10)
    assert [bucket.consume(rate, 0.0) for _ in range(10)] == [0.0] * 10
    assert bucket.consume(rate, 0.0) == pytest.approx(6.0)


def test_bucket_refills_by_one_per_step() -> None:
    bucket, rate = Bucket(), Rate(10, 60, 10)
    for _ in range(10):
        bucket.consume(rate, 0.0)
    assert bucket.consume(rate, 6.0) == 0.0
    assert bucket.consume(rate, 6.0) > 0


def test_idle_time_saves_no_more_than_the_burst() -> None:
    bucket, rate = Bucket(), Rate(1, 1, 2)
    taken = [bucket.consume(rate, 1e6) for _ in range(3)]
    assert taken[:2] == [0.0, 0.0]
    assert taken[2] > 0


def test_refused_call_consumes_nothing() -> None:
    bucket, rate = Bucket(), Rate(1, 1, 1)
    waits = [bucket.consume(rate, 0.0) for _ in range(5)]
    assert waits[1:] == [pytest.approx(1.0)] * 4
    assert bucket.consume(rate, 1.0) == 0.0


def test_buckets_are_separate_per_limit_and_caller(clock: Clock) -> None:
    buckets, rate = Buckets(), Rate(1, 60, 1)
    assert buckets.consume("A", 1, rate) == 0.0
    assert buckets.consume("A", 2, rate) == 0.0
    assert buckets.consume("B", 1, rate) == 0.0
    assert buckets.consume("A", 1, rate) > 0


def test_full_table_evicts_full_buckets_first(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_TABLE_SIZE", 3)
    buckets = Buckets()
    buckets.consume("slow", 1, Rate(1, 3600, 1))
    for whose in (1, 2):
        buckets.consume("quick", whose, Rate(1, 1, 1))
    clock.now += 2
    buckets.consume("quick", 3, Rate(1, 1, 1))
    assert buckets.consume("slow", 1, Rate(1, 3600, 1)) > 0


def test_flooded_table_keeps_the_buckets_with_the_longest_wait(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "MAX_TABLE_SIZE", 20)
    buckets, rate = Buckets(), Rate(3, 3600, 3)
    for guesser in ("one", "another"):
        assert [buckets.consume("slow", guesser, rate) for _ in range(3)] == [0.0] * 3
    for stranger in range(100):
        assert buckets.consume("slow", stranger, rate) == 0.0
        assert len(buckets._buckets) <= 20
    assert buckets.consume("slow", "one", rate) > 0
    assert buckets.consume("slow", "another", rate) > 0


def test_concurrent_threads_share_one_burst(clock: Clock) -> None:
    buckets, rate = Buckets(), Rate(50, 3600, 50)

    def take_many() -> int:
        return sum(buckets.consume("A", 1, rate) == 0.0 for _ in range(40))

    taken = run_concurrently(*[take_many] * 4)
    assert sum(count for count in taken if isinstance(count, int)) == 50


def test_exceeding_a_limit_raises_with_retry_after(clock: Clock, settings: Settings) -> None:
    settings.CHAT_ROOM_RATE = Rate(1, 60, 1)
    consume("CHAT_ROOM_RATE", "spender")
    with pytest.raises(RateLimited) as refusal:
        consume("CHAT_ROOM_RATE", "spender")
    assert refusal.value.retry_after == pytest.approx(60.0)


def test_failed_operation_refunds_its_rate(clock: Clock, settings: Settings) -> None:
    settings.CHAT_ROOM_RATE = Rate(1, 60, 1)
    with pytest.raises(Forbidden), consume_unless_refused("CHAT_ROOM_RATE", "giver"):
        raise Forbidden
    with consume_unless_refused("CHAT_ROOM_RATE", "giver"):
        pass
    with pytest.raises(RateLimited), consume_unless_refused("CHAT_ROOM_RATE", "giver"):
        pass


def test_disabled_limit_never_refuses(settings: Settings) -> None:
    settings.CHAT_ROOM_RATE = None
    for _ in range(1000):
        consume("CHAT_ROOM_RATE", "spender")
