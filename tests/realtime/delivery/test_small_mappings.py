"""Rooms of one socket are small: their mappings hold an entry without a dict."""

import gc
import random
import tracemalloc
from collections.abc import Mapping

import pytest

from accounts.auth import Caller
from realtime.delivery.events_socket import EventsSocket
from realtime.delivery.events_subscriptions import EventsSubscriptions
from realtime.delivery.small_mappings import NO_ENTRIES, with_entry, without_entry
from rooms.followed_rooms import FollowedRoom, Memberships
from tests.factories import Wire
from tests.realtime.wiring import make_hub, make_recovery, send_queue

ROOMS = 1000
MAX_ROOM_BYTES = 600
"""Bytes of a room that one socket alone follows, with the subscription; measured 510."""


def test_entries_are_those_of_a_dict() -> None:
    chosen, entries, expected = random.Random(1), NO_ENTRIES, dict[int, int]()
    for step in range(2000):
        key = chosen.randrange(4)
        if chosen.random() < 0.5:
            entries, expected[key] = with_entry(entries, key, step), step
        else:
            entries = without_entry(entries, key)
            expected.pop(key, None)
        assert_equal(entries, expected)
    assert dict(NO_ENTRIES) == {}


def assert_equal(entries: Mapping[int, int], expected: dict[int, int]) -> None:
    assert dict(entries.items()) == expected
    assert list(entries) == list(entries.keys()) == list(expected)
    assert list(entries.values()) == list(expected.values())
    assert (len(entries), bool(entries)) == (len(expected), bool(expected))
    assert [entries.get(key) for key in range(4)] == [expected.get(key) for key in range(4)]
    assert [key in entries for key in range(4)] == [key in expected for key in range(4)]


@pytest.mark.usefixtures("direct_writes")
def test_room_that_one_socket_follows_is_small() -> None:
    hub = make_hub()
    following = EventsSubscriptions(hub, make_recovery())
    queue = send_queue(Wire(direct=True))
    queue.put({"type": "websocket.accept"})
    rows = [FollowedRoom(10_000 + n, 1_000 + n, 0, 7, 7, muted=False) for n in range(ROOMS)]
    memberships = Memberships(1, rows, frozenset(), frozenset())
    socket = EventsSocket(queue, Caller(1, "ila", 1, 0), memberships)
    hub.open_events_socket(socket)
    gc.collect()
    tracemalloc.start()
    try:
        for row in rows:
            assert following.start(following.subscribe(socket, row))
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / ROOMS < MAX_ROOM_BYTES
