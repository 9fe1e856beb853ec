"""Running requests are divided between users and slow hosts."""

import time

import pytest

from messaging.push import request_slots
from messaging.push.request_slots import SLOW, RequestSlots


def test_a_user_has_a_quarter_of_the_threads() -> None:
    divided = RequestSlots(8)
    assert [divided.acquire(1, "a.example") for _ in range(3)] == [True, True, False]
    assert divided.full_users() == [1]
    assert divided.free == 14
    divided.release(1, "a.example", seconds=0.1)
    assert divided.full_users() == []
    assert divided.acquire(1, "b.example")


def test_a_host_has_its_share_while_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    divided = RequestSlots(8)
    assert all(divided.acquire(user, "a.example") for user in range(16))
    assert divided.free == 0
    for user in range(16):
        divided.release(user, "a.example", seconds=SLOW)
    assert [divided.acquire(user, "a.example") for user in range(3)] == [True, True, False]
    assert divided.full_hosts() == ["a.example"]
    assert divided.acquire(2, "b.example")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + request_slots.SLOW_TTL)
    assert divided.acquire(2, "a.example")


def test_one_thread_serves_everybody_in_turn() -> None:
    divided = RequestSlots(1)
    assert [divided.acquire(1, "a.example"), divided.acquire(1, "a.example")] == [True, False]
    assert divided.acquire(2, "a.example")
