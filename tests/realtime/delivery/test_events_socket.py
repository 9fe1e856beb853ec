"""One send queue follows many rooms: same frames, one encoding, bounded memory."""

import asyncio
import gc
import json
import tracemalloc

import pytest
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.errors import SessionEnded
from realtime.close_codes import CloseCode
from realtime.delivery.events_socket import EventsSocket
from realtime.delivery.events_subscriptions import MAX_FURTHER_ROOMS, EventsSubscriptions
from realtime.delivery.hub import Hub
from realtime.delivery.subscriber import Subscriber
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import TypingOut
from realtime.servers.framing import FrameCache
from rooms.errors import NoSuchRoom
from rooms.followed_rooms import FollowedRoom, Memberships
from rooms.models import Room
from tests.factories import Wire
from tests.realtime.wiring import (
    make_hub,
    make_recovery,
    make_revocation,
    send_queue,
    state,
)

TYPING = encode(TypingOut(sender=9, username="maya", typing=True))


@pytest.fixture(params=[False, True], ids=["send", "direct write"])
def direct(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def hub() -> Hub:
    return make_hub()


def row(room_id: int, version: int = 0) -> FollowedRoom:
    return FollowedRoom(room_id, version, 0, version, 0, muted=False)


def make_socket(hub: Hub, wire: Wire, room_ids: list[int], user_id: int = 1) -> EventsSocket:
    """Opens an events socket that follows rooms, as `events_handshake` does."""
    queue = send_queue(wire)
    queue.put({"type": "websocket.accept"})
    socket = EventsSocket(
        queue,
        Caller(user_id, f"user{user_id}", user_id, 0),
        Memberships(0, [], frozenset(), frozenset()),
    )
    hub.open_events_socket(socket)
    socket.ready = True
    follow(hub, socket, *room_ids)
    return socket


def follow(hub: Hub, socket: EventsSocket, *room_ids: int) -> None:
    following = EventsSubscriptions(hub, make_recovery())
    for room_id in room_ids:
        assert following.start(following.subscribe(socket, row(room_id)))


def subscribe(hub: Hub, wire: Wire, room_id: int = 1, user_id: int = 2) -> Subscriber:
    queue = send_queue(wire)
    queue.put({"type": "websocket.accept"})
    subscriber = Subscriber(queue, Caller(user_id, f"user{user_id}", user_id, 0), room_id, 0)
    room = hub.subscribe(subscriber, Room(pk=room_id))
    subscriber.ready = True
    room.finish_catch_up(subscriber, 0)
    return subscriber


def test_frames_of_all_followed_rooms_arrive_on_one_socket(hub: Hub, direct: bool) -> None:
    wire = Wire(direct=direct)
    make_socket(hub, wire, [1, 2])
    for room_id, version in ((1, 1), (2, 1), (1, 2)):
        hub.deliver(room_id, version, 0, f"{room_id} at {version}")
    hub.deliver(3, 1, 0, "of another room")
    assert wire.texts == ["1 at 1", "2 at 1", "1 at 2"]


def test_room_sockets_and_events_sockets_receive_the_same_message(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One text and one encoding, for any number of recipients of both kinds."""
    encoded = []
    build = FrameCache.of

    def count(cache: FrameCache, text: str) -> bytes:
        encoded.append(text)
        return build(cache, text)

    old = [Wire(direct=True) for _ in range(3)]
    new = [Wire(direct=True) for _ in range(3)]
    for number, wire in enumerate(old):
        subscribe(hub, wire, user_id=10 + number)
    for number, wire in enumerate(new):
        make_socket(hub, wire, [1], user_id=20 + number)
    monkeypatch.setattr(FrameCache, "of", count)
    hub.deliver(1, 1, 0, "a message")
    assert encoded == ["a message"]
    assert all(wire.texts == ["a message"] for wire in [*old, *new])


def test_other_frames_gain_their_room_with_one_more_encoding(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    build = FrameCache.of

    def count(cache: FrameCache, text: str) -> bytes:
        encoded.append(text)
        return build(cache, text)

    old, new = Wire(direct=True), [Wire(direct=True) for _ in range(3)]
    subscribe(hub, old, user_id=10)
    for number, wire in enumerate(new):
        make_socket(hub, wire, [1], user_id=20 + number)
    monkeypatch.setattr(FrameCache, "of", count)
    hub.send_to_room(1, TYPING)
    assert len(encoded) == 2
    assert old.texts == [TYPING]
    for wire in new:
        assert [json.loads(text) for text in wire.texts] == [json.loads(TYPING) | {"room_id": 1}]


@pytest.mark.parametrize("except_user_id", [None, 1])
def test_frames_to_all_but_one_user_name_their_room(
    hub: Hub, direct: bool, except_user_id: int | None
) -> None:
    wire, old = Wire(direct=direct), Wire(direct=direct)
    make_socket(hub, wire, [1])
    subscribe(hub, old)
    hub.send_to_room(1, TYPING, except_user_id=except_user_id, droppable=True)
    assert old.texts == [TYPING]
    rooms = [json.loads(text)["room_id"] for text in wire.texts]
    assert rooms == ([] if except_user_id == 1 else [1])


def test_batch_keeps_the_order_of_both_kinds_of_frames(hub: Hub, direct: bool) -> None:
    wire, old = Wire(direct=direct), Wire(direct=direct)
    make_socket(hub, wire, [1])
    subscribe(hub, old)
    with state.write_batch.for_frames(3):
        hub.deliver(1, 1, 0, '{"n":1}')
        hub.send_to_room(1, '{"n":2}')
        hub.deliver(1, 2, 0, '{"n":3}')
    assert old.texts == ['{"n":1}', '{"n":2}', '{"n":3}']
    assert wire.texts == ['{"n":1}', '{"n":2,"room_id":1}', '{"n":3}']


async def test_socket_that_does_not_read_queues_the_frames_of_all_rooms(hub: Hub) -> None:
    wire = Wire(direct=True)
    make_socket(hub, wire, [1, 2])
    hub.deliver(1, 1, 0, "before")
    wire.block()
    hub.deliver(1, 2, 0, "first")
    hub.deliver(2, 1, 0, "second")
    assert wire.texts == ["before"]
    wire.unblock()
    await asyncio.sleep(0)
    hub.deliver(2, 2, 0, "third")
    await asyncio.sleep(0)
    assert wire.texts == ["before", "first", "second", "third"]


async def test_socket_with_too_much_unread_ends_once_for_all_rooms(
    hub: Hub, settings: Settings
) -> None:
    """The bound is that of the socket, however many rooms fill it."""
    wire, others = Wire(), Wire()
    socket = make_socket(hub, wire, list(range(1, 11)))
    subscribe(hub, others, 1)
    wire.block()
    text = "x" * 200_000
    for version in range(1, 8):
        for room_id in range(1, 11):
            hub.deliver(room_id, version, 0, text)
    assert socket.queue.closing
    assert state.send_buffers.total < 2 * 1024 * 1024
    assert len(others.texts) == 7
    hub.close_events_socket(socket)
    wire.unblock()
    await asyncio.sleep(0)
    assert not hub.rooms.keys() - {1}


def test_removal_ends_the_room_and_not_the_socket(hub: Hub, direct: bool) -> None:
    wire = Wire(direct=direct)
    socket = make_socket(hub, wire, [1, 2])
    revocation = make_revocation(hub)
    with state.write_batch.for_frames(4):
        hub.deliver(1, 1, 0, '{"n":1}')
        revocation.disconnect_member(1, 1, 1, removed=True)
        hub.deliver(1, 2, 1, "secret")
        hub.deliver(2, 1, 0, '{"n":2}')
    assert [json.loads(text) for text in wire.texts] == [
        {"n": 1},
        {"type": "room_removed", "room_id": 1, "reason": "removed"},
        {"n": 2},
    ]
    revocation.disconnect_member(2, 1, 1, removed=False)
    assert json.loads(wire.texts[-1])["reason"] == "left"
    assert not socket.queue.closing
    assert not hub.rooms


def test_deletion_ends_the_room_with_its_reason(hub: Hub) -> None:
    wire, old = Wire(), Wire()
    make_socket(hub, wire, [1])
    subscribe(hub, old)
    make_revocation(hub).close_room(1, NoSuchRoom())
    assert json.loads(wire.texts[-1]) == {
        "type": "room_removed",
        "room_id": 1,
        "reason": "deleted",
    }
    assert json.loads(old.texts[-1])["code"] == "no_such_room"


def test_lost_member_found_by_the_repair_is_removed(hub: Hub) -> None:
    wire = Wire()
    make_socket(hub, wire, [1])
    subscribe(hub, Wire())
    room = hub.rooms[1]
    assert room.user_ids() == {1, 2}
    make_revocation(hub).disconnect_lost_members(room, room.user_ids(), {2}, 1)
    assert json.loads(wire.texts[-1])["type"] == "room_removed"
    assert room.user_ids() == {2}


def test_end_of_the_session_closes_the_socket_with_all_rooms(hub: Hub) -> None:
    wire, other, counts = Wire(), Wire(), state.counts
    before = counts.events_sockets, counts.followed_rooms
    make_socket(hub, wire, [1, 2], user_id=1)
    make_socket(hub, other, [2], user_id=2)
    assert (counts.events_sockets - before[0], counts.followed_rooms - before[1]) == (2, 3)
    make_revocation(hub).end_sessions([1])
    assert json.loads(wire.texts[-1])["code"] == SessionEnded.code
    assert wire.sent[-1]["code"] == CloseCode.UNAUTHENTICATED
    assert hub.rooms.keys() == {2}
    assert hub.events_sockets.keys() == {2}
    assert list(hub.open_sessions()) == [2]
    hub.close_all(CloseCode.RESTART)
    assert other.sent[-1]["code"] == CloseCode.RESTART
    assert (counts.events_sockets, counts.followed_rooms) == before


def test_renewal_moves_the_socket_to_its_new_session(hub: Hub) -> None:
    wire = Wire()
    socket = make_socket(hub, wire, [1], user_id=1)
    hub.renew(socket, Caller(1, "user1", 7, 99))
    make_revocation(hub).end_sessions([1])
    assert not socket.queue.closing
    (subscriber,) = socket.subscriptions()
    assert subscriber.caller.session_id == 7
    make_revocation(hub).end_sessions([7])
    assert socket.queue.closing


def test_users_online_in_a_room_do_not_include_mere_followers(hub: Hub) -> None:
    socket = make_socket(hub, Wire(), [1])
    room = hub.rooms[1]
    assert room.users == {}
    room.enter(socket.followed[1])
    assert room.users == {1: 1}
    hub.unsubscribe(socket.followed[1])
    assert room.users == {}


@pytest.mark.parametrize("most", [1, 2])
def test_events_sockets_count_towards_a_large_room(hub: Hub, settings: Settings, most: int) -> None:
    """Else each read marker of a room of ten thousand would be ten thousand frames."""
    settings.CHAT_PRESENCE_MAX_USERS = most
    for user_id in (1, 2):
        make_socket(hub, Wire(), [1], user_id)
    assert hub.rooms[1].announces is (most == 2)


def test_frame_about_a_user_reaches_each_events_socket_once(hub: Hub) -> None:
    own, friend, stranger = Wire(), Wire(), Wire()
    make_socket(hub, own, [1, 2], user_id=1)
    make_socket(hub, friend, [1, 2], user_id=2)
    make_socket(hub, stranger, [3], user_id=3)
    hub.send_to_events_sockets(1, [1, 2], "{}", is_own=False)
    assert (own.texts, friend.texts, stranger.texts) == ([], ["{}"], [])
    hub.send_to_events_sockets(1, [1, 2], "{}", is_own=True)
    assert (own.texts, friend.texts, stranger.texts) == (["{}"], ["{}", "{}"], [])


def test_socket_follows_a_bounded_number_of_rooms(hub: Hub, settings: Settings) -> None:
    settings.CHAT_ROOMS_PER_SOCKET = 1
    following = EventsSubscriptions(hub, make_recovery())
    socket = make_socket(hub, Wire(), [])
    for room_id in range(MAX_FURTHER_ROOMS + 1):
        assert following.has_space(socket)
        following.subscribe(socket, row(room_id + 1))
    assert not following.has_space(socket)
    settings.CHAT_ROOMS_PER_SOCKET = None
    assert following.has_space(socket)


def test_subscriber_of_a_room_with_newer_frames_must_catch_up(hub: Hub) -> None:
    """A message stored between read and subscription is missing."""
    subscribe(hub, Wire())
    hub.deliver(1, 1, 0, "1")
    following = EventsSubscriptions(hub, make_recovery())
    socket = make_socket(hub, wire := Wire(), [])
    subscriber = following.subscribe(socket, row(1, version=0))
    assert not following.start(subscriber)
    hub.deliver(1, 2, 0, "2")
    assert wire.texts == []
    hub.rooms[1].finish_catch_up(subscriber, 1)
    assert wire.texts == ["2"]


@pytest.mark.parametrize(
    ("shared", "most"), [(True, 28_000), (False, 140_000)], ids=["shared rooms", "own rooms"]
)
def test_followed_room_takes_little_memory(hub: Hub, shared: bool, most: int) -> None:
    """Of an idle socket's 60 KB, the connection itself takes half."""
    sockets, rooms = 50, 100
    numbers = list(range(1, rooms + 1))
    first = make_socket(hub, Wire(direct=True), numbers if shared else [], user_id=1)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = [first]
        for number in range(2, sockets + 2):
            start = 0 if shared else number * rooms
            socket = make_socket(hub, Wire(direct=True), [], user_id=number)
            follow(hub, socket, *(start + one for one in numbers))
            kept.append(socket)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / sockets < most
