"""A room's order: whatever comes, in whatever order, each socket hears rising versions."""

import json
import random
import sys
import time
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.close_codes import CloseCode
from realtime.delivery import local_room as local_room_module
from realtime.delivery import subscriber as listener_module
from realtime.delivery.local_room import LocalRoom
from tests.realtime.wiring import local_room, state

from .ear import Ear, enter, frame, settled

# Order


def test_the_next_version_goes_out_at_once(room: LocalRoom, ear: Ear) -> None:
    assert all(room.deliver(frame(version)) for version in (1, 2, 3))
    assert ear.heard == [1, 2, 3]


def test_all_who_listen_share_one_event() -> None:
    room = local_room(1, version=0, access_epoch=0)
    ear, other = enter(room), enter(room, user_id=2)
    room.deliver(frame(1))
    assert ear.wire.sent[-1] is other.wire.sent[-1]


def test_an_older_version_is_dropped(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(1))
    assert room.deliver(frame(1))
    assert room.deliver(frame(0))
    assert ear.heard == [1]


def test_a_jump_waits_for_what_is_missing(room: LocalRoom, ear: Ear) -> None:
    assert not room.deliver(frame(3))
    assert not room.deliver(frame(2))
    assert ear.heard == []
    assert room.deliver(frame(1))
    assert ear.heard == [1, 2, 3]
    assert room.out_of_order == {}


def test_more_than_one_hole_stays_trouble(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(2))
    room.deliver(frame(4))
    assert not room.deliver(frame(1))
    assert ear.heard == [1, 2]
    assert room.deliver(frame(3))
    assert ear.heard == [1, 2, 3, 4]


def test_what_the_database_had_fills_the_hole(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(4))
    room.fill([frame(1), frame(3)])  # 2 was superseded
    assert ear.heard == [1, 3, 4]
    assert room.out_of_order == {}


def test_what_was_fetched_twice_is_heard_once(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(1))
    room.deliver(frame(3))
    room.fill([frame(1), frame(2), frame(3), frame(4)])
    room.fill([frame(2), frame(4)])
    assert ear.heard == [1, 2, 3, 4]
    assert room.out_of_order == {}


def test_early_frames_are_bounded(
    room: LocalRoom, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_room_module, "MAX_OUT_OF_ORDER", 3)
    assert not any(room.deliver(frame(version)) for version in range(2, 10))
    assert len(room.out_of_order) == 3
    room.fill([frame(version) for version in range(1, 10)])
    assert ear.heard == list(range(1, 10))


ARRIVING = st.lists(st.tuples(st.integers(1, 12), st.integers(-4, 4)), max_size=40)


@given(ARRIVING, st.booleans())
def test_any_order_is_heard_rising_and_complete(
    arriving: list[tuple[int, int]], together: bool
) -> None:
    """Frames come in any order, sockets enter around the room's version, the rest is fetched."""
    with patch.object(Ear, "quick", new=True), state.write_batch.for_frames(2 if together else 1):
        ears = _arrive(arriving)
    for since, ear in ears:
        assert ear.heard == list(range(since + 1, 21))


def _arrive(arriving: list[tuple[int, int]]) -> list[tuple[int, Ear]]:
    """Each ear with what it had when it came."""
    room = local_room(1, version=0, access_epoch=0)
    ears = [(0, enter(room))]
    for version, ahead in arriving:
        room.deliver(frame(version))
        if ahead >= 0:  # what it read from the database, which this room may not have heard yet
            since = room.version + ahead
            ears.append((since, enter(room, since)))
    room.fill([frame(version) for version in range(1, 21)])
    assert not room.catching_up
    return ears


def test_a_shuffled_thousand_is_heard_in_order(room: LocalRoom, ear: Ear) -> None:
    versions = list(range(1, 1001)) * 2
    random.Random(5).shuffle(versions)
    for version in versions:
        room.deliver(frame(version))
    assert ear.heard == list(range(1, 1001))


# Access


def test_a_higher_access_counter_waits_until_somebody_looked(room: LocalRoom, ear: Ear) -> None:
    assert not room.deliver(frame(1, access_epoch=1))
    assert ear.heard == []
    room.access_epoch = 1
    room.fill(())
    assert ear.heard == [1]


def test_nothing_overtakes_a_frame_that_waits_for_access(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(1, access_epoch=1))
    assert not room.deliver(frame(2, access_epoch=1))
    assert not room.deliver(frame(2))
    assert ear.heard == []
    room.access_epoch = 1
    room.fill(())
    assert ear.heard == [1, 2]


def test_early_frames_of_a_later_access_wait_on(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(3, access_epoch=2))
    room.deliver(frame(2, access_epoch=1))
    room.access_epoch = 1
    assert not room.deliver(frame(1))
    assert ear.heard == [1, 2]
    room.access_epoch = 2
    room.fill(())
    assert ear.heard == [1, 2, 3]


def test_a_lower_access_counter_is_an_older_frame_and_passes(room: LocalRoom, ear: Ear) -> None:
    room.access_epoch = 5
    assert room.deliver(frame(1, access_epoch=3))
    assert ear.heard == [1]


def test_one_who_was_taken_out_hears_no_more(room: LocalRoom, ear: Ear) -> None:
    room.deliver(frame(1, access_epoch=1))
    room.discard(ear)
    room.access_epoch = 1
    room.fill(())
    assert ear.heard == []


# Settling


def test_what_comes_during_a_replay_is_held_back_and_then_heard(room: LocalRoom) -> None:
    ear = Ear()
    room.add(ear)
    room.deliver(frame(1))
    room.deliver(frame(2))
    assert ear.heard == []
    room.finish_catch_up(ear, 1)  # 1 was replayed
    assert ear.heard == [2]
    assert settled(room) == {ear}
    room.deliver(frame(3))
    assert ear.heard == [2, 3]


def test_one_ahead_of_the_room_hears_no_version_twice(room: LocalRoom) -> None:
    ahead, behind = enter(room, version=2), enter(room)
    assert ahead in room.catching_up
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert ahead.heard == [3]
    assert behind.heard == [1, 2, 3]
    assert settled(room) == {ahead, behind}


def test_a_listener_that_replays_again_misses_and_repeats_nothing(
    room: LocalRoom, ear: Ear
) -> None:
    room.deliver(frame(1))
    room.begin_catch_up(ear)
    room.deliver(frame(2))
    room.deliver(frame(3))
    assert ear.heard == [1]
    room.finish_catch_up(ear, 2)
    room.deliver(frame(4))
    assert ear.heard == [1, 3, 4]
    assert settled(room) == {ear}


def test_a_replay_behind_what_was_heard_repeats_nothing_live(room: LocalRoom, ear: Ear) -> None:
    for version in (1, 2, 3):
        room.deliver(frame(version))
    room.begin_catch_up(ear)
    room.finish_catch_up(ear, 1)
    room.deliver(frame(4))
    assert ear.heard == [1, 2, 3, 4]


def test_a_replay_that_never_ends_is_cut(room: LocalRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "MAX_BUFFERED_FRAMES", 3)
    ear = Ear()
    room.add(ear)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert not ear.queue.closing
    room.deliver(frame(4))
    assert [json.loads(text)["code"] for text in ear.wire.texts] == ["too_slow"]
    assert ear.wire.sent[-1] == {
        "type": "websocket.close",
        "code": CloseCode.TOO_SLOW,
        "reason": "too_slow",
    }


def test_bytes_that_are_held_back_during_a_replay_are_bounded(
    room: LocalRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, size = state.send_buffers.total, sys.getsizeof("1")
    monkeypatch.setattr(listener_module, "MAX_BUFFERED_BYTES", 3 * size)
    ear, leaves = Ear(), Ear(user_id=2)
    room.add(ear)
    room.add(leaves)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert state.send_buffers.total - before == 6 * size
    ear.forget_buffered(2)
    assert state.send_buffers.total - before == 4 * size
    for version in (4, 5):
        room.deliver(frame(version))
    assert leaves.queue.closing
    assert not ear.queue.closing
    room.discard(leaves)
    room.finish_catch_up(ear, 2)
    assert ear.heard == [3, 4, 5]
    assert state.send_buffers.total == before


# Who is here


def test_a_user_is_here_from_the_first_socket_to_the_last(room: LocalRoom) -> None:
    one, two = Ear(user_id=7), Ear(user_id=7)
    room.add(one)
    room.add(two)
    assert room.users == {7: 2}
    assert not room.discard(one)
    assert room.discard(two)
    assert not room.users
    assert not room.names


def test_sockets_are_found_by_their_user(room: LocalRoom) -> None:
    mine, other = enter(room, user_id=7), enter(room, user_id=8)
    assert room.subscribers_of(7) == [mine]
    assert room.holds(other)
    room.discard(other)
    assert not room.holds(other)


# Frames outside the order


def test_a_word_reaches_all_who_are_ready_but_the_speaker(room: LocalRoom, ear: Ear) -> None:
    other, not_ready = enter(room, user_id=2), Ear(user_id=3)
    room.add(not_ready)
    room.send("0", except_user_id=1)
    assert (ear.heard, other.heard, not_ready.heard) == ([], [0], [])


def test_one_who_replays_hears_a_word_at_once(room: LocalRoom, ear: Ear) -> None:
    room.begin_catch_up(ear)
    room.send("0")
    assert ear.heard == [0]


def test_a_word_is_said_once_in_a_while_by_each(
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


def test_one_who_was_sent_away_does_not_come_back_by_a_replay(room: LocalRoom) -> None:
    gone, stays = Ear(user_id=7), Ear(user_id=7)
    room.add(gone)
    room.add(stays)
    room.discard(gone)
    room.begin_catch_up(gone)
    assert not room.holds(gone)
    assert room.users == {7: 1}


def test_only_those_let_in_before_a_loss_of_membership_are_unjudged(room: LocalRoom) -> None:
    out_of_order, late = Ear(user_id=7), Ear(user_id=8)
    out_of_order.access_epoch, late.access_epoch = 0, 1
    room.add(out_of_order)
    room.add(late)
    assert room.has_unchecked(checked=[], access_epoch=1)
    assert not room.has_unchecked(checked=[7], access_epoch=1)
