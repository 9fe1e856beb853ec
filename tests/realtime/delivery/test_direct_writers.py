"""Direct writers: a room bypasses empty send queues; each socket gets all."""

import asyncio
import random
from collections.abc import Callable

import pytest
from typing_extensions import override

from realtime.delivery import local_room as local_room_module
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from tests.factories import Wire
from tests.realtime.fake_subscriber import FakeSubscriber, add_subscriber, frame, up_to_date
from tests.realtime.wiring import local_room, send_queue, state


@pytest.mark.usefixtures("direct_writes")
def test_subscriber_with_an_empty_queue_is_written_to_directly() -> None:
    room = local_room(1, version=0, access_epoch=0)
    subscriber = add_subscriber(room)
    room.deliver(frame(1))
    assert room.direct_writers.keys() == {subscriber}
    assert (subscriber.received, subscriber.wire.writes) == ([1], 1)


class BlockingWire(Wire):
    """Accepts one write, then blocks."""

    @override
    def _write(self, data: bytes) -> None:
        super()._write(data)
        self.block()


@pytest.mark.usefixtures("direct_writes")
async def test_slow_reader_receives_each_version_once_and_delays_no_other() -> None:
    room = local_room(1, version=0, access_epoch=0)
    subscriber, slow = add_subscriber(room), FakeSubscriber(user_id=2)
    slow.wire = BlockingWire(direct=True)
    slow.queue = send_queue(slow.wire)
    slow.queue.put({"type": "websocket.accept"})
    room.add(slow)
    room.finish_catch_up(slow, 0)
    for version in (1, 2, 3):
        room.deliver(frame(version))
    assert (subscriber.received, slow.received) == ([1, 2, 3], [1])
    assert room.direct_writers.keys() == {subscriber}
    assert set(room.queued_subscribers) == {slow}
    slow.wire.unblock()
    await slow.queue.drained()
    assert slow.received == [1, 2, 3]
    assert room.direct_writers.keys() == {subscriber, slow}


@pytest.mark.usefixtures("direct_writes")
def test_failing_direct_writer_is_cut_and_others_receive_all() -> None:
    room = local_room(1, version=0, access_epoch=0)
    failing, subscriber = add_subscriber(room), add_subscriber(room, user_id=2)
    direct_writer, failed = room.direct_writers[failing], False

    def fail_once(data: bytes) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise MemoryError
        direct_writer(data)

    room.direct_writers = {**room.direct_writers, failing: fail_once}
    room.deliver(frame(1))
    room.deliver(frame(2))
    assert subscriber.received == [1, 2]
    assert failing.wire.aborted
    assert failing.received == []


@pytest.mark.usefixtures("direct_writes")
@pytest.mark.parametrize("leave", [LocalRoom.discard, LocalRoom.begin_catch_up])
def test_removed_subscriber_does_not_return_when_its_peer_stops_reading(
    leave: Callable[[LocalRoom, Subscriber], object],
) -> None:
    room = local_room(1, version=0, access_epoch=0)
    add_subscriber(room, user_id=2)
    subscriber = add_subscriber(room)
    leave(room, subscriber)
    subscriber.wire.block()
    assert subscriber not in up_to_date(room)


def test_deliveries_are_counted_with_and_without_direct_writers(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    before = state.counts.deliveries
    room.deliver(frame(1))
    room.send("0")
    assert state.counts.deliveries == before + 2


@pytest.mark.usefixtures("direct_writes")
def test_closing_subscriber_receives_no_frames() -> None:
    room = local_room(1, version=0, access_epoch=0)
    subscriber = add_subscriber(room)
    subscriber.close(1000)
    room.deliver(frame(1))
    assert subscriber.received == []


@pytest.mark.usefixtures("direct_writes")
def test_batched_frames_leave_in_one_write() -> None:
    room = local_room(1, version=0, access_epoch=0)
    subscriber = add_subscriber(room)
    with state.write_batch.for_frames(3):
        for version in (1, 2, 3):
            room.deliver(frame(version))
        assert subscriber.wire.writes == 0
    assert (subscriber.received, subscriber.wire.writes) == ([1, 2, 3], 1)
    room.deliver(frame(4))
    assert (subscriber.received, subscriber.wire.writes) == ([1, 2, 3, 4], 2)


@pytest.mark.usefixtures("direct_writes")
def test_large_batch_is_written_before_it_closes() -> None:
    room = local_room(1, version=0, access_epoch=0)
    subscriber = add_subscriber(room)
    half = local_room_module.MAX_WRITE_LENGTH // 2
    with state.write_batch.for_frames(3):
        for version in (1, 2):
            room.deliver(VersionedFrame(version, 0, text_event(str(version).rjust(half))))
            assert subscriber.received == []
        room.deliver(frame(3))
        assert (subscriber.received, subscriber.wire.writes) == ([1, 2], 1)
    assert (subscriber.received, subscriber.wire.writes) == ([1, 2, 3], 2)
    # Written characters do not count towards the next write.
    with state.write_batch.for_frames(2):
        room.deliver(VersionedFrame(4, 0, text_event("4".rjust(2 * half))))
        assert subscriber.wire.writes == 2


def test_joining_leaving_and_replaying_in_a_batch_repeats_no_version(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    leaving, replaying = add_subscriber(room, user_id=2), add_subscriber(room, user_id=3)
    with state.write_batch.for_frames(9):
        room.deliver(frame(1))
        room.discard(leaving)
        room.deliver(frame(2))
        room.begin_catch_up(replaying)
        room.deliver(frame(3))
        joining = add_subscriber(room, version=3, user_id=4)
        room.finish_catch_up(replaying, 2)
        room.deliver(frame(4))
    assert (subscriber.received, leaving.received) == ([1, 2, 3, 4], [1])
    assert (replaying.received, joining.received) == ([1, 2, 3, 4], [4])


def test_unversioned_frame_follows_the_batched_frames_before_it(
    room: LocalRoom, subscriber: FakeSubscriber
) -> None:
    with state.write_batch.for_frames(2):
        room.deliver(frame(1))
        room.send("0")
    assert subscriber.received == [1, 0]


@pytest.mark.usefixtures("direct_writes")
@pytest.mark.parametrize("seed", range(20))
async def test_sockets_that_block_and_resume_receive_all_in_order(seed: int) -> None:
    chance = random.Random(seed)
    room = local_room(1, version=0, access_epoch=0)
    subscribers = [add_subscriber(room, user_id=number) for number in range(1, 6)]
    blocked: set[FakeSubscriber] = set()
    while room.version < 200:
        subscriber = chance.choice(subscribers)
        if subscriber in blocked:
            blocked.discard(subscriber)
            subscriber.wire.unblock()
        else:
            blocked.add(subscriber)
            subscriber.wire.block()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        count = chance.randrange(4)
        with state.write_batch.for_frames(count):
            for _ in range(count):
                room.deliver(frame(room.version + 1))
    for subscriber in subscribers:
        if subscriber in blocked:
            subscriber.wire.unblock()
        await subscriber.queue.drained()
    room.deliver(frame(room.version + 1))
    assert all(
        subscriber.received == list(range(1, room.version + 1)) for subscriber in subscribers
    )
    assert room.direct_writers.keys() == set(subscribers)
