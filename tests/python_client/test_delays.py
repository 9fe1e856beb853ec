"""Delays before connecting again, and events for an app that is slow."""

import pytest

from chat_backend_client.reconnect import Backoff
from chat_backend_client.subscription import Publisher


def test_delay_is_anywhere_below_a_doubling_limit() -> None:
    limits: list[float] = []

    def draw(low: float, high: float) -> float:
        assert low == 0
        limits.append(high)
        return high

    backoff = Backoff(0.5, 4, draw)
    for _ in range(5):
        backoff.next_delay()
    assert limits == [0.5, 1, 2, 4, 4]
    backoff.succeed()
    assert backoff.next_delay(10) == 10.5


async def test_slow_app_gets_a_reset_in_place_of_what_it_missed() -> None:
    publisher: Publisher[str] = Publisher(3, lambda: ["reset"])
    for number in range(5):
        publisher.publish(f"e{number}")
    publisher.end()
    assert [one async for one in publisher.subscribe()] == ["reset", "e4"]


async def test_first_iterator_begins_at_the_opening_and_later_ones_now() -> None:
    publisher: Publisher[str] = Publisher(10, lambda: ["reset"])
    publisher.publish("before")
    first, second = publisher.subscribe(), publisher.subscribe()
    publisher.publish("after")
    publisher.end(ValueError("gone"))
    assert [await anext(first), await anext(first), await anext(second)] == [
        "before",
        "after",
        "after",
    ]
    with pytest.raises(ValueError, match="gone"):
        await anext(second)
