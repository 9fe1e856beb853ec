"""Errors of a socket expire after a minute (contract §3, close codes)."""

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


def repeat(count: int, call: Callable[[], None]) -> None:
    for _ in range(count):
        call()


@pytest.mark.parametrize(("later", "forgiven"), [(59.9, False), (60.1, True)])
def test_fifth_unreadable_frame_of_a_minute_closes(
    clock: Clock, later: float, forgiven: bool
) -> None:
    limiter = FrameLimiter()
    repeat(4, limiter.count_unreadable_frame)
    clock.now += later
    if forgiven:
        repeat(4, limiter.count_unreadable_frame)
    with pytest.raises(TooManyUnreadableFrames):
        limiter.count_unreadable_frame()


def refused(limiter: FrameLimiter) -> None:
    with pytest.raises(RateLimited):
        limiter.consume_frame()


@pytest.mark.parametrize(("later", "forgiven"), [(59.9, False), (60.1, True)])
def test_frames_refused_for_a_minute_close(
    clock: Clock, settings: Settings, later: float, forgiven: bool
) -> None:
    settings.CHAT_FRAME_RATE = Rate(1, 3600, 1)
    limiter = FrameLimiter()
    limiter.consume_frame()
    repeat(MAX_REFUSED - 1, lambda: refused(limiter))
    clock.now += later
    if forgiven:
        repeat(MAX_REFUSED - 1, lambda: refused(limiter))
    with pytest.raises(PersistentlyRateLimited):
        limiter.consume_frame()
