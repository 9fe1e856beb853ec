"""Past the outbox: a room writes straight to those for whom nothing waits, and each hears all."""

import asyncio
import random
from collections.abc import Callable

import pytest
from typing_extensions import override

from realtime.delivery import local_room as local_room_module
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from tests.factories import Wire
from tests.realtime.wiring import local_room, send_queue, state

from .ear import Ear, enter, frame, settled


@pytest.mark.usefixtures("straight")
def test_one_for_whom_nothing_waits_is_written_to_directly() -> None:
    room = local_room(1, version=0, access_epoch=0)
    ear = enter(room)
    room.deliver(frame(1))
    assert room.direct_writers.keys() == {ear}
    assert (ear.heard, ear.wire.writes) == ([1], 1)


class Deaf(Wire):
    """Takes a write, and is found not to read at it."""

    @override
    def _write(self, data: bytes) -> None:
        super()._write(data)
        self.block()


@pytest.mark.usefixtures("straight")
async def test_one_who_stops_reading_hears_each_version_once_and_delays_nobody() -> None:
    room = local_room(1, version=0, access_epoch=0)
    ear, deaf = enter(room), Ear(user_id=2)
    deaf.wire = Deaf(quick=True)
    deaf.queue = send_queue(deaf.wire)
    deaf.queue.put({"type": "websocket.accept"})
    room.add(deaf)
    room.finish_catch_up(deaf, 0)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert (ear.heard, deaf.heard) == ([1, 2, 3], [1])
    assert room.direct_writers.keys() == {ear}
    assert room.queued_subscribers == {deaf}
    deaf.wire.unblock()
    await deaf.queue.drained()
    assert deaf.heard == [1, 2, 3]
    assert room.direct_writers.keys() == {ear, deaf}


@pytest.mark.usefixtures("straight")
def test_one_whose_way_fails_is_cut_and_takes_nothing_from_the_others() -> None:
    room = local_room(1, version=0, access_epoch=0)
    torn, ear = enter(room), enter(room, user_id=2)
    direct_writer, failed = room.direct_writers[torn], False

    def fail_once(data: bytes) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise MemoryError
        direct_writer(data)

    room.direct_writers[torn] = fail_once
    room.deliver(frame(1))
    room.deliver(frame(2))
    assert ear.heard == [1, 2]
    assert torn.wire.aborted
    assert torn.heard == []


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("goes", [LocalRoom.discard, LocalRoom.begin_catch_up])
def test_one_who_was_taken_out_does_not_come_back_when_its_peer_stops_reading(
    goes: Callable[[LocalRoom, Subscriber], object],
) -> None:
    room = local_room(1, version=0, access_epoch=0)
    enter(room, user_id=2)
    ear = enter(room)
    goes(room, ear)
    ear.wire.block()
    assert ear not in settled(room)


def test_deliveries_are_counted_whichever_way_they_go(room: LocalRoom, ear: Ear) -> None:
    before = state.counts.deliveries
    room.deliver(frame(1))
    room.send("0")
    assert state.counts.deliveries == before + 2


@pytest.mark.usefixtures("straight")
def test_nothing_is_written_to_one_that_closes() -> None:
    room = local_room(1, version=0, access_epoch=0)
    ear = enter(room)
    ear.close(1000)
    room.deliver(frame(1))
    assert ear.heard == []


@pytest.mark.usefixtures("straight")
def test_what_is_told_together_leaves_in_one_write() -> None:
    room = local_room(1, version=0, access_epoch=0)
    ear = enter(room)
    with state.write_batch.for_frames(3):
        for version in (1, 2, 3):
            room.deliver(frame(version))
        assert ear.wire.writes == 0
    assert (ear.heard, ear.wire.writes) == ([1, 2, 3], 1)
    room.deliver(frame(4))
    assert (ear.heard, ear.wire.writes) == ([1, 2, 3, 4], 2)


@pytest.mark.usefixtures("straight")
def test_much_that_is_told_together_does_not_wait_for_its_end() -> None:
    room = local_room(1, version=0, access_epoch=0)
    ear = enter(room)
    half = local_room_module.MAX_WRITE_LENGTH // 2
    with state.write_batch.for_frames(3):
        for version in (1, 2):
            room.deliver(VersionedFrame(version, 0, text_event(str(version).rjust(half))))
            assert ear.heard == []
        room.deliver(frame(3))
        assert (ear.heard, ear.wire.writes) == ([1, 2], 1)
    assert (ear.heard, ear.wire.writes) == ([1, 2, 3], 2)
    # What was written does not count towards the next.
    with state.write_batch.for_frames(2):
        room.deliver(VersionedFrame(4, 0, text_event("4".rjust(2 * half))))
        assert ear.wire.writes == 2


def test_whoever_comes_goes_or_replays_meanwhile_hears_each_version_once(
    room: LocalRoom, ear: Ear
) -> None:
    goes, replays = enter(room, user_id=2), enter(room, user_id=3)
    with state.write_batch.for_frames(9):
        room.deliver(frame(1))
        room.discard(goes)
        room.deliver(frame(2))
        room.begin_catch_up(replays)
        room.deliver(frame(3))
        comes = enter(room, version=3, user_id=4)
        room.finish_catch_up(replays, 2)
        room.deliver(frame(4))
    assert (ear.heard, goes.heard) == ([1, 2, 3, 4], [1])
    assert (replays.heard, comes.heard) == ([1, 2, 3, 4], [4])


def test_a_word_follows_what_was_said_before_it(room: LocalRoom, ear: Ear) -> None:
    with state.write_batch.for_frames(2):
        room.deliver(frame(1))
        room.send("0")
    assert ear.heard == [1, 0]


@pytest.mark.usefixtures("straight")
@pytest.mark.parametrize("seed", range(20))
async def test_whatever_blocks_and_reads_again_hears_all_in_order(seed: int) -> None:
    chance = random.Random(seed)
    room = local_room(1, version=0, access_epoch=0)
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
        with state.write_batch.for_frames(count):
            for _ in range(count):
                room.deliver(frame(room.version + 1))
    for ear in ears:
        if ear in blocked:
            ear.wire.unblock()
        await ear.queue.drained()
    room.deliver(frame(room.version + 1))
    assert all(ear.heard == list(range(1, room.version + 1)) for ear in ears)
    assert room.direct_writers.keys() == set(ears)
