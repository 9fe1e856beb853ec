"""What a socket gets wrong is forgiven after a minute, and no sooner (contract §3, close codes)."""

import time
from collections.abc import Callable

import pytest
from pytest_django import Settings

from accounts.kernel.errors import RateLimited
from accounts.kernel.rate_limits import Rate
from realtime.connection.frame_limits import MAX_REFUSED, FrameLimiter
from realtime.errors import PersistentlyRateLimited, TooManyUnreadableFrames


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def times(count: int, call: Callable[[], None]) -> None:
    for _ in range(count):
        call()


@pytest.mark.parametrize(("later", "forgiven"), [(59.9, False), (60.1, True)])
def test_the_fifth_unreadable_frame_of_a_minute_closes(
    clock: Clock, later: float, forgiven: bool
) -> None:
    patience = FrameLimiter()
    times(4, patience.count_unreadable_frame)
    clock.now += later
    if forgiven:
        times(4, patience.count_unreadable_frame)
    with pytest.raises(TooManyUnreadableFrames):
        patience.count_unreadable_frame()


def refused(patience: FrameLimiter) -> None:
    with pytest.raises(RateLimited):
        patience.consume_frame()


@pytest.mark.parametrize(("later", "forgiven"), [(59.9, False), (60.1, True)])
def test_frames_that_are_refused_for_a_minute_close(
    clock: Clock, settings: Settings, later: float, forgiven: bool
) -> None:
    settings.CHAT_FRAME_RATE = Rate(1, 3600, 1)
    patience = FrameLimiter()
    patience.consume_frame()
    times(MAX_REFUSED - 1, lambda: refused(patience))
    clock.now += later
    if forgiven:
        times(MAX_REFUSED - 1, lambda: refused(patience))
    with pytest.raises(PersistentlyRateLimited):
        patience.consume_frame()
