"""A room's order: whatever comes, in whatever order, each socket hears rising versions."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.auth import SignIn
from realtime import listener as listener_module
from realtime import open_room
from realtime.codes import TOO_SLOW
from realtime.listener import Frame, Listener, text_event
from realtime.metrics import counts
from realtime.open_room import OpenRoom
from realtime.outbox import Outbox
from realtime.wire import telling
from tests.factories import Wire


class Ear(Listener):
    """A listener of a fake connection that remembers which versions it heard."""

    quick = False
    """Whether its server has a way past `send`."""

    def __init__(self, version: int = 0, user_id: int = 1) -> None:
        self.wire = Wire(quick=self.quick)
        super().__init__(Outbox(self.wire), SignIn(user_id, f"user{user_id}", 1, 0), 1, version)
        self.outbox.put({"type": "websocket.accept"})

    @property
    def heard(self) -> list[int]:
        return [int(text) for text in self.wire.texts]


def frame(version: int, access: int = 0) -> Frame:
    return Frame(version, access, text_event(str(version)))


def enter(room: OpenRoom, version: int = 0, user_id: int = 1) -> Ear:
    """A socket that read `version` from the database and has settled."""
    ear = Ear(version, user_id)
    room.add(ear)
    ear.ready = True
    room.settle(ear, version)
    return ear


def settled(room: OpenRoom) -> set[Listener]:
    """Those who have exactly what the room has."""
    assert not room.ways.keys() & room.live
    return {*room.ways, *room.live}


@pytest.fixture(params=[False, True], ids=["by send", "straight"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "quick", request.param)


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ear, "quick", True)


@pytest.fixture
def room(way: None) -> OpenRoom:
    return OpenRoom(1, version=0, access=0)


@pytest.fixture
def ear(room: OpenRoom) -> Ear:
    return enter(room)


# Order


def test_the_next_version_goes_out_at_once(room: OpenRoom, ear: Ear) -> None:
    assert all(room.deliver(frame(version)) for version in (1, 2, 3))
    assert ear.heard == [1, 2, 3]


def test_all_who_listen_share_one_event() -> None:
    room = OpenRoom(1, version=0, access=0)
    ear, other = enter(room), enter(room, user_id=2)
    room.deliver(frame(1))
    assert ear.wire.sent[-1] is other.wire.sent[-1]


def test_an_older_version_is_dropped(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(1))
    assert room.deliver(frame(1))
    assert room.deliver(frame(0))
    assert ear.heard == [1]


def test_a_jump_waits_for_what_is_missing(room: OpenRoom, ear: Ear) -> None:
    assert not room.deliver(frame(3))
    assert not room.deliver(frame(2))
    assert ear.heard == []
    assert room.deliver(frame(1))
    assert ear.heard == [1, 2, 3]
    assert room.early == {}


def test_more_than_one_hole_stays_trouble(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(2))
    room.deliver(frame(4))
    assert not room.deliver(frame(1))
    assert ear.heard == [1, 2]
    assert room.deliver(frame(3))
    assert ear.heard == [1, 2, 3, 4]


def test_what_the_database_had_fills_the_hole(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(4))
    room.fill([frame(1), frame(3)])  # 2 was superseded
    assert ear.heard == [1, 3, 4]
    assert room.early == {}


def test_what_was_fetched_twice_is_heard_once(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(1))
    room.deliver(frame(3))
    room.fill([frame(1), frame(2), frame(3), frame(4)])
    room.fill([frame(2), frame(4)])
    assert ear.heard == [1, 2, 3, 4]
    assert room.early == {}


def test_early_frames_are_bounded(
    room: OpenRoom, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_room, "MOST_EARLY", 3)
    assert not any(room.deliver(frame(version)) for version in range(2, 10))
    assert len(room.early) == 3
    room.fill([frame(version) for version in range(1, 10)])
    assert ear.heard == list(range(1, 10))


ARRIVING = st.lists(st.tuples(st.integers(1, 12), st.integers(-4, 4)), max_size=40)


@given(ARRIVING, st.booleans())
def test_any_order_is_heard_rising_and_complete(
    arriving: list[tuple[int, int]], together: bool
) -> None:
    """Frames come in any order, sockets enter around the room's version, the rest is fetched."""
    with patch.object(Ear, "quick", new=True), telling(2 if together else 1):
        ears = _arrive(arriving)
    for since, ear in ears:
        assert ear.heard == list(range(since + 1, 21))


def _arrive(arriving: list[tuple[int, int]]) -> list[tuple[int, Ear]]:
    """Each ear with what it had when it came."""
    room = OpenRoom(1, version=0, access=0)
    ears = [(0, enter(room))]
    for version, ahead in arriving:
        room.deliver(frame(version))
        if ahead >= 0:  # what it read from the database, which this room may not have heard yet
            since = room.version + ahead
            ears.append((since, enter(room, since)))
    room.fill([frame(version) for version in range(1, 21)])
    assert not room.settling
    return ears


def test_a_shuffled_thousand_is_heard_in_order(room: OpenRoom, ear: Ear) -> None:
    versions = list(range(1, 1001)) * 2
    random.Random(5).shuffle(versions)
    for version in versions:
        room.deliver(frame(version))
    assert ear.heard == list(range(1, 1001))


# Access


def test_a_higher_access_counter_waits_until_somebody_looked(room: OpenRoom, ear: Ear) -> None:
    assert not room.deliver(frame(1, access=1))
    assert ear.heard == []
    room.access = 1
    room.fill(())
    assert ear.heard == [1]


def test_nothing_overtakes_a_frame_that_waits_for_access(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(1, access=1))
    assert not room.deliver(frame(2, access=1))
    assert not room.deliver(frame(2))
    assert ear.heard == []
    room.access = 1
    room.fill(())
    assert ear.heard == [1, 2]


def test_early_frames_of_a_later_access_wait_on(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(3, access=2))
    room.deliver(frame(2, access=1))
    room.access = 1
    assert not room.deliver(frame(1))
    assert ear.heard == [1, 2]
    room.access = 2
    room.fill(())
    assert ear.heard == [1, 2, 3]


def test_a_lower_access_counter_is_an_older_frame_and_passes(room: OpenRoom, ear: Ear) -> None:
    room.access = 5
    assert room.deliver(frame(1, access=3))
    assert ear.heard == [1]


def test_one_who_was_taken_out_hears_no_more(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(1, access=1))
    room.discard(ear)
    room.access = 1
    room.fill(())
    assert ear.heard == []


# Settling


def test_what_comes_during_a_replay_is_held_back_and_then_heard(room: OpenRoom) -> None:
    ear = Ear()
    room.add(ear)
    room.deliver(frame(1))
    room.deliver(frame(2))
    assert ear.heard == []
    room.settle(ear, 1)  # 1 was replayed
    assert ear.heard == [2]
    assert settled(room) == {ear}
    room.deliver(frame(3))
    assert ear.heard == [2, 3]


def test_one_ahead_of_the_room_hears_no_version_twice(room: OpenRoom) -> None:
    ahead, behind = enter(room, version=2), enter(room)
    assert ahead in room.settling
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert ahead.heard == [3]
    assert behind.heard == [1, 2, 3]
    assert settled(room) == {ahead, behind}


def test_a_listener_that_replays_again_misses_and_repeats_nothing(room: OpenRoom, ear: Ear) -> None:
    room.deliver(frame(1))
    room.unsettle(ear)
    room.deliver(frame(2))
    room.deliver(frame(3))
    assert ear.heard == [1]
    room.settle(ear, 2)
    room.deliver(frame(4))
    assert ear.heard == [1, 3, 4]
    assert settled(room) == {ear}


def test_a_replay_behind_what_was_heard_repeats_nothing_live(room: OpenRoom, ear: Ear) -> None:
    for version in (1, 2, 3):
        room.deliver(frame(version))
    room.unsettle(ear)
    room.settle(ear, 1)
    room.deliver(frame(4))
    assert ear.heard == [1, 2, 3, 4]


def test_a_replay_that_never_ends_is_cut(room: OpenRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "MOST_HELD", 3)
    ear = Ear()
    room.add(ear)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert not ear.outbox.closing
    room.deliver(frame(4))
    assert [json.loads(text)["code"] for text in ear.wire.texts] == ["too_slow"]
    assert ear.wire.sent[-1] == {"type": "websocket.close", "code": TOO_SLOW}


# Past the outbox


@pytest.mark.usefixtures("straight")
def test_one_for_whom_nothing_waits_is_written_to_directly() -> None:
    room = OpenRoom(1, version=0, access=0)
    ear = enter(room)
    room.deliver(frame(1))
    assert room.ways.keys() == {ear}
    assert (ear.heard, ear.wire.writes) == ([1], 1)


class Deaf(Wire):
    """Takes a write, and is found not to read at it."""

    def _write(self, data: bytes) -> None:
        super()._write(data)
        self.block()


@pytest.mark.usefixtures("straight")
async def test_one_who_stops_reading_hears_each_version_once_and_delays_nobody() -> None:
    room = OpenRoom(1, version=0, access=0)
    ear, deaf = enter(room), Ear(user_id=2)
    deaf.wire = Deaf(quick=True)
    deaf.outbox = Outbox(deaf.wire)
    deaf.outbox.put({"type": "websocket.accept"})
    room.add(deaf)
    room.settle(deaf, 0)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert (ear.heard, deaf.heard) == ([1, 2, 3], [1])
    assert room.ways.keys() == {ear}
    assert room.live == {deaf}
    deaf.wire.unblock()
    await deaf.outbox.drained()
    assert deaf.heard == [1, 2, 3]
    assert room.ways.keys() == {ear, deaf}


@pytest.mark.usefixtures("straight")
def test_one_whose_way_fails_is_cut_and_takes_nothing_from_the_others() -> None:
    room = OpenRoom(1, version=0, access=0)
    torn, ear = enter(room), enter(room, user_id=2)
    way, failed = room.ways[torn], False

    def fail_once(data: bytes) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise MemoryError
        way(data)

    room.ways[torn] = fail_once
    room.deliver(frame(1))
    room.deliver(frame(2))
    assert ear.heard == [1, 2]
    assert torn.wire.aborted
    assert torn.heard == []


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("goes", [OpenRoom.discard, OpenRoom.unsettle])
def test_one_who_was_taken_out_does_not_come_back_when_its_peer_stops_reading(
    goes: Callable[[OpenRoom, Listener], object],
) -> None:
    room = OpenRoom(1, version=0, access=0)
    enter(room, user_id=2)
    ear = enter(room)
    goes(room, ear)
    ear.wire.block()
    assert ear not in settled(room)


def test_deliveries_are_counted_whichever_way_they_go(room: OpenRoom, ear: Ear) -> None:
    before = counts.deliveries
    room.deliver(frame(1))
    room.say("0")
    assert counts.deliveries == before + 2


@pytest.mark.usefixtures("straight")
def test_nothing_is_written_to_one_that_closes() -> None:
    room = OpenRoom(1, version=0, access=0)
    ear = enter(room)
    ear.close(1000)
    room.deliver(frame(1))
    assert ear.heard == []


@pytest.mark.usefixtures("straight")
def test_what_is_told_together_leaves_in_one_write() -> None:
    room = OpenRoom(1, version=0, access=0)
    ear = enter(room)
    with telling(3):
        for version in (1, 2, 3):
            room.deliver(frame(version))
        assert ear.wire.writes == 0
    assert (ear.heard, ear.wire.writes) == ([1, 2, 3], 1)
    room.deliver(frame(4))
    assert (ear.heard, ear.wire.writes) == ([1, 2, 3, 4], 2)


@pytest.mark.usefixtures("straight")
def test_much_that_is_told_together_does_not_wait_for_its_end() -> None:
    room = OpenRoom(1, version=0, access=0)
    ear = enter(room)
    half = open_room.LARGEST_BUNDLE // 2
    with telling(3):
        for version in (1, 2):
            room.deliver(Frame(version, 0, text_event(str(version).rjust(half))))
            assert ear.heard == []
        room.deliver(frame(3))
        assert (ear.heard, ear.wire.writes) == ([1, 2], 1)
    assert (ear.heard, ear.wire.writes) == ([1, 2, 3], 2)
    # What was written does not count towards the next.
    with telling(2):
        room.deliver(Frame(4, 0, text_event("4".rjust(2 * half))))
        assert ear.wire.writes == 2


def test_whoever_comes_goes_or_replays_meanwhile_hears_each_version_once(
    room: OpenRoom, ear: Ear
) -> None:
    goes, replays = enter(room, user_id=2), enter(room, user_id=3)
    with telling(9):
        room.deliver(frame(1))
        room.discard(goes)
        room.deliver(frame(2))
        room.unsettle(replays)
        room.deliver(frame(3))
        comes = enter(room, version=3, user_id=4)
        room.settle(replays, 2)
        room.deliver(frame(4))
    assert (ear.heard, goes.heard) == ([1, 2, 3, 4], [1])
    assert (replays.heard, comes.heard) == ([1, 2, 3, 4], [4])


def test_a_word_follows_what_was_said_before_it(room: OpenRoom, ear: Ear) -> None:
    with telling(2):
        room.deliver(frame(1))
        room.say("0")
    assert ear.heard == [1, 0]


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("seed", range(20))
async def test_whatever_blocks_and_reads_again_hears_all_in_order(seed: int) -> None:
    chance = random.Random(seed)
    room = OpenRoom(1, version=0, access=0)
    ears = [enter(room, user_id=number) for number in range(1, 6)]
    blocked: set[Ear] = set()
    while room.version < 200:
        ear = chance.choice(ears)
        if ear in blocked:
            blocked.discard(ear)
            ear.wire.unblock()
        else:
            blocked.add(ear)
            ear.wire.block()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        count = chance.randrange(4)
        with telling(count):
            for _ in range(count):
                room.deliver(frame(room.version + 1))
    for ear in ears:
        if ear in blocked:
            ear.wire.unblock()
        await ear.outbox.drained()
    room.deliver(frame(room.version + 1))
    assert all(ear.heard == list(range(1, room.version + 1)) for ear in ears)
    assert room.ways.keys() == set(ears)


# Who is here


def test_a_user_is_here_from_the_first_socket_to_the_last(room: OpenRoom) -> None:
    one, two = Ear(user_id=7), Ear(user_id=7)
    room.add(one)
    room.add(two)
    assert room.users == {7: 2}
    assert not room.discard(one)
    assert room.discard(two)
    assert not room.users
    assert not room.names


def test_sockets_are_found_by_their_user(room: OpenRoom) -> None:
    mine, other = enter(room, user_id=7), enter(room, user_id=8)
    assert room.listeners_of(7) == [mine]
    assert room.holds(other)
    room.discard(other)
    assert not room.holds(other)


# Frames outside the order


def test_a_word_reaches_all_who_are_ready_but_the_speaker(room: OpenRoom, ear: Ear) -> None:
    other, not_ready = enter(room, user_id=2), Ear(user_id=3)
    room.add(not_ready)
    room.say("0", but=1)
    assert (ear.heard, other.heard, not_ready.heard) == ([], [0], [])


def test_one_who_replays_hears_a_word_at_once(room: OpenRoom, ear: Ear) -> None:
    room.unsettle(ear)
    room.say("0")
    assert ear.heard == [0]


def test_a_word_is_said_once_in_a_while_by_each(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert room.may_say("typing", 1, 1.0)
    assert room.may_say("typing", 2, 1.0)
    assert room.may_say("join", 1, 1.0)
    assert not room.may_say("typing", 1, 1.0)
    now += 1
    assert room.may_say("typing", 1, 1.0)


def test_one_who_was_sent_away_does_not_come_back_by_a_replay(room: OpenRoom) -> None:
    gone, stays = Ear(user_id=7), Ear(user_id=7)
    room.add(gone)
    room.add(stays)
    room.discard(gone)
    room.unsettle(gone)
    assert not room.holds(gone)
    assert room.users == {7: 1}


def test_only_those_let_in_before_a_loss_of_membership_are_unjudged(room: OpenRoom) -> None:
    early, late = Ear(user_id=7), Ear(user_id=8)
    early.access, late.access = 0, 1
    room.add(early)
    room.add(late)
    assert room.has_unjudged(asked=[], access=1)
    assert not room.has_unjudged(asked=[7], access=1)
