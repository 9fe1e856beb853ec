"""The hub delivers batched frames in order, with and without direct writers."""

import pytest
from pytest_django import Settings

from accounts.auth import Caller
from realtime.delivery.hub import Hub
from realtime.delivery.subscriber import Subscriber
from rooms.models import Room
from tests.factories import Wire
from tests.realtime.wiring import make_hub, make_revocation, send_queue, state


@pytest.fixture
def hub() -> Hub:
    return make_hub()


def subscribe(hub: Hub, user_id: int) -> Wire:
    """Subscribes a socket with a direct writer to room 1."""
    wire = Wire(direct=True)
    queue = send_queue(wire)
    queue.put({"type": "websocket.accept"})
    subscriber = Subscriber(queue, Caller(user_id, f"user{user_id}", user_id, 0), 1, 0)
    room = hub.subscribe(subscriber, Room(pk=1))
    subscriber.ready = True
    room.finish_catch_up(subscriber, 0)
    return wire


def test_copy_to_users_follows_the_frames_before_it(hub: Hub) -> None:
    wire = subscribe(hub, 1)
    with state.write_batch.for_frames(2):
        hub.deliver(1, 1, 0, "a message")
        hub.send_to_users(1, [1], "a copy")
    assert wire.texts == ["a message", "a copy"]


@pytest.mark.parametrize("most", [1, None], ids=["large room", "small room"])
def test_read_marker_follows_its_message(hub: Hub, settings: Settings, most: int | None) -> None:
    settings.CHAT_PRESENCE_MAX_USERS = most
    reader, other = subscribe(hub, 1), subscribe(hub, 2)
    with state.write_batch.for_frames(2):
        hub.deliver(1, 1, 0, "a message")
        hub.send_receipt(1, 1, "a mark")
    assert reader.texts == ["a message", "a mark"]
    assert other.texts == (["a message", "a mark"] if most is None else ["a message"])


def test_batch_over_several_rooms_reaches_each_room(hub: Hub) -> None:
    wire = subscribe(hub, 1)
    with state.write_batch.for_frames(3):
        for version in (1, 2):
            hub.deliver(1, version, 0, str(version))
            hub.deliver(2, version, 0, "elsewhere")
    assert (wire.texts, wire.writes) == (["1", "2"], 1)


def test_disconnected_member_receives_only_the_frames_before(hub: Hub) -> None:
    removed, staying = subscribe(hub, 1), subscribe(hub, 2)
    with state.write_batch.for_frames(3):
        hub.deliver(1, 1, 0, "before")
        make_revocation(hub).disconnect_member(1, 1, 1, removed=False)
        hub.deliver(1, 2, 1, "after")
    assert removed.texts == ["before"]
    assert staying.texts == ["before", "after"]
