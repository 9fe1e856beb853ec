"""A local room delivers rising versions to each socket, in any order of arrival."""

import json
import random
import sys
import time
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.close_codes import CloseCode
from realtime.delivery import out_of_order_frames
from realtime.delivery import subscriber as subscriber_module
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.send_buffers import size_of
from tests.realtime.fake_subscriber import FakeSubscriber, add_subscriber, frame, up_to_date
from tests.realtime.wiring import local_room, state

# Order


def test_next_version_is_delivered_at_once(room: LocalRoom, subscriber: FakeSubscriber) -> None:
    assert all(room.deliver(frame(version)) for version in (1, 2, 3))
    assert subscriber.received == [1, 2, 3]


def test_all_subscribers_share_one_event() -> None:
    room = local_room(1, version=0, access_epoch=0)
    subscriber, other = add_subscriber(room), add_subscriber(room, user_id=2)
    room.deliver(frame(1))
    assert subscriber.wire.sent[-1] is other.wire.sent[-1]


def test_older_version_is_dropped(room: LocalRoom, subscriber: FakeSubscriber) -> None:
    room.deliver(frame(1))
    assert room.deliver(frame(1))
    assert room.deliver(frame(0))
    assert subscriber.received == [1]


def test_out_of_order_frames_wait_for_the_missing_version(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    assert not room.deliver(frame(3))
    assert not room.deliver(frame(2))
    assert subscriber.received == []
    assert room.deliver(frame(1))
    assert subscriber.received == [1, 2, 3]
    assert not room.out_of_order


def test_repair_is_needed_until_the_last_gap_closes(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.deliver(frame(2))
    room.deliver(frame(4))
    assert not room.deliver(frame(1))
    assert subscriber.received == [1, 2]
    assert room.deliver(frame(3))
    assert subscriber.received == [1, 2, 3, 4]


def test_frames_from_the_database_fill_the_gap(room: LocalRoom, subscriber: FakeSubscriber) -> None:
    room.deliver(frame(4))
    room.fill([frame(1), frame(3)])  # 2 was superseded
    assert subscriber.received == [1, 3, 4]
    assert not room.out_of_order


def test_frames_fetched_twice_are_delivered_once(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.deliver(frame(1))
    room.deliver(frame(3))
    room.fill([frame(1), frame(2), frame(3), frame(4)])
    room.fill([frame(2), frame(4)])
    assert subscriber.received == [1, 2, 3, 4]
    assert not room.out_of_order


def test_out_of_order_frames_are_bounded(
    room: LocalRoom, subscriber: FakeSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_order_frames, "MAX_FRAMES", 3)
    assert not any(room.deliver(frame(version)) for version in range(2, 10))
    assert len(room.out_of_order or ()) == 3
    room.fill([frame(version) for version in range(1, 10)])
    assert subscriber.received == list(range(1, 10))


def test_out_of_order_frames_are_bounded_in_bytes(
    room: LocalRoom, subscriber: FakeSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_order_frames, "MAX_BYTES", 3 * size_of(frame(22).event))
    for first in (11, 31):
        # A fill frees the bytes of what it delivered.
        assert not any(room.deliver(frame(version)) for version in range(first + 1, first + 10))
        assert len(room.out_of_order or ()) == 3
        room.fill([frame(version) for version in range(first, first + 10)])
        assert not room.out_of_order
    assert subscriber.received == [*range(11, 21), *range(31, 41)]


ARRIVING = st.lists(st.tuples(st.integers(1, 12), st.integers(-4, 4)), max_size=40)


@given(ARRIVING, st.booleans())
def test_any_arrival_order_is_delivered_rising_and_complete(
    arriving: list[tuple[int, int]], together: bool
) -> None:
    """Frames arrive in any order, sockets join, and the repair fills gaps."""
    with (
        patch.object(FakeSubscriber, "direct", new=True),
        state.write_batch.for_frames(2 if together else 1),
    ):
        subscribers = _deliver_all(arriving)
    for since, subscriber in subscribers:
        assert subscriber.received == list(range(since + 1, 21))


def _deliver_all(arriving: list[tuple[int, int]]) -> list[tuple[int, FakeSubscriber]]:
    """Returns each subscriber with its version at the subscription."""
    room = local_room(1, version=0, access_epoch=0)
    subscribers = [(0, add_subscriber(room))]
    for version, ahead in arriving:
        room.deliver(frame(version))
        if ahead >= 0:  # read from the database, maybe ahead of this room
            since = room.version + ahead
            subscribers.append((since, add_subscriber(room, since)))
    room.fill([frame(version) for version in range(1, 21)])
    assert not room.catching_up
    return subscribers


def test_thousand_shuffled_frames_are_delivered_in_order(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    versions = list(range(1, 1001)) * 2
    random.Random(5).shuffle(versions)
    for version in versions:
        room.deliver(frame(version))
    assert subscriber.received == list(range(1, 1001))


# Access epoch


def test_higher_access_epoch_waits_for_the_membership_check(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    assert not room.deliver(frame(1, access_epoch=1))
    assert subscriber.received == []
    room.access_epoch = 1
    room.fill(())
    assert subscriber.received == [1]


def test_no_frame_overtakes_one_that_waits_for_its_access_epoch(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.deliver(frame(1, access_epoch=1))
    assert not room.deliver(frame(2, access_epoch=1))
    assert not room.deliver(frame(2))
    assert subscriber.received == []
    room.access_epoch = 1
    room.fill(())
    assert subscriber.received == [1, 2]


def test_out_of_order_frames_wait_for_their_access_epoch(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.deliver(frame(3, access_epoch=2))
    room.deliver(frame(2, access_epoch=1))
    room.access_epoch = 1
    assert not room.deliver(frame(1))
    assert subscriber.received == [1, 2]
    room.access_epoch = 2
    room.fill(())
    assert subscriber.received == [1, 2, 3]


def test_lower_access_epoch_is_delivered(room: LocalRoom, subscriber: FakeSubscriber) -> None:
    room.access_epoch = 5
    assert room.deliver(frame(1, access_epoch=3))
    assert subscriber.received == [1]


def test_removed_subscriber_receives_no_more_frames(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.deliver(frame(1, access_epoch=1))
    room.discard(subscriber)
    room.access_epoch = 1
    room.fill(())
    assert subscriber.received == []


# Catching up


def test_frames_during_a_replay_are_buffered_and_then_received(room: LocalRoom) -> None:
    subscriber = FakeSubscriber()
    room.add(subscriber)
    room.deliver(frame(1))
    room.deliver(frame(2))
    assert subscriber.received == []
    room.finish_catch_up(subscriber, 1)  # 1 was replayed
    assert subscriber.received == [2]
    assert up_to_date(room) == {subscriber}
    room.deliver(frame(3))
    assert subscriber.received == [2, 3]


def test_subscriber_ahead_of_the_room_receives_no_version_twice(room: LocalRoom) -> None:
    ahead, behind = add_subscriber(room, version=2), add_subscriber(room)
    assert ahead in room.catching_up
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert ahead.received == [3]
    assert behind.received == [1, 2, 3]
    assert up_to_date(room) == {ahead, behind}


def test_second_replay_neither_misses_nor_repeats_frames(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.deliver(frame(1))
    room.begin_catch_up(subscriber)
    room.deliver(frame(2))
    room.deliver(frame(3))
    assert subscriber.received == [1]
    room.finish_catch_up(subscriber, 2)
    room.deliver(frame(4))
    assert subscriber.received == [1, 3, 4]
    assert up_to_date(room) == {subscriber}


def test_replay_of_older_versions_repeats_no_live_frame(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    for version in (1, 2, 3):
        room.deliver(frame(version))
    room.begin_catch_up(subscriber)
    room.finish_catch_up(subscriber, 1)
    room.deliver(frame(4))
    assert subscriber.received == [1, 2, 3, 4]


def test_endless_replay_is_closed_as_too_slow(
    room: LocalRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber_module, "MAX_BUFFERED_FRAMES", 3)
    subscriber = FakeSubscriber()
    room.add(subscriber)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert not subscriber.queue.closing
    room.deliver(frame(4))
    assert [json.loads(text)["code"] for text in subscriber.wire.texts] == ["too_slow"]
    assert subscriber.wire.sent[-1] == {
        "type": "websocket.close",
        "code": CloseCode.TOO_SLOW,
        "reason": "too_slow",
    }


def test_bytes_buffered_during_a_replay_are_bounded(
    room: LocalRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, size = state.send_buffers.total, sys.getsizeof("1")
    monkeypatch.setattr(subscriber_module, "MAX_BUFFERED_BYTES", 3 * size)
    subscriber, leaves = FakeSubscriber(), FakeSubscriber(user_id=2)
    room.add(subscriber)
    room.add(leaves)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert state.send_buffers.total - before == 6 * size
    subscriber.forget_buffered(2)
    assert state.send_buffers.total - before == 4 * size
    for version in (4, 5):
        room.deliver(frame(version))
    assert leaves.queue.closing
    assert not subscriber.queue.closing
    room.discard(leaves)
    room.finish_catch_up(subscriber, 2)
    assert subscriber.received == [3, 4, 5]
    assert state.send_buffers.total == before


# Users online


def test_user_is_online_from_the_first_socket_to_the_last(room: LocalRoom) -> None:
    one, two = FakeSubscriber(user_id=7), FakeSubscriber(user_id=7)
    room.add(one)
    room.add(two)
    assert room.users == {7: 2}
    assert not room.discard(one)
    assert room.discard(two)
    assert not room.users
    assert not room.names


def test_sockets_are_found_by_their_user(room: LocalRoom) -> None:
    mine, other = add_subscriber(room, user_id=7), add_subscriber(room, user_id=8)
    assert room.subscribers_of(7) == [mine]
    assert room.holds(other)
    room.discard(other)
    assert not room.holds(other)


# Frames outside the order


def test_unversioned_frame_reaches_ready_sockets_except_the_sender(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    other, not_ready = add_subscriber(room, user_id=2), FakeSubscriber(user_id=3)
    room.add(not_ready)
    room.send("0", except_user_id=1)
    assert (subscriber.received, other.received, not_ready.received) == ([], [0], [])


def test_replaying_subscriber_receives_unversioned_frames_at_once(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    room.begin_catch_up(subscriber)
    room.send("0")
    assert subscriber.received == [0]


def test_repeated_frames_are_throttled_per_user(
    room: LocalRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert room.may_send("typing", 1, 1.0)
    assert room.may_send("typing", 2, 1.0)
    assert room.may_send("join", 1, 1.0)
    assert not room.may_send("typing", 1, 1.0)
    now += 1
    assert room.may_send("typing", 1, 1.0)


def test_removed_subscriber_does_not_return_by_a_replay(room: LocalRoom) -> None:
    gone, stays = FakeSubscriber(user_id=7), FakeSubscriber(user_id=7)
    room.add(gone)
    room.add(stays)
    room.discard(gone)
    room.begin_catch_up(gone)
    assert not room.holds(gone)
    assert room.users == {7: 1}


def test_only_sockets_of_an_older_access_epoch_are_unchecked(room: LocalRoom) -> None:
    older, later = FakeSubscriber(user_id=7), FakeSubscriber(user_id=8)
    older.access_epoch, later.access_epoch = 0, 1
    room.add(older)
    room.add(later)
    assert room.has_unchecked(checked=[], access_epoch=1)
    assert not room.has_unchecked(checked=[7], access_epoch=1)
