"""What the hub tells together comes in the order in which it was told, whichever way it goes."""

import pytest
from pytest_django import Settings

from accounts.auth import Caller
from realtime.delivery.hub import Hub
from realtime.delivery.subscriber import Subscriber
from rooms.models import Room
from tests.factories import Wire
from tests.realtime.wiring import make_hub, send_queue, state


@pytest.fixture
def hub() -> Hub:
    return make_hub()


def enter(hub: Hub, user_id: int) -> Wire:
    """A socket in room 1 that is written to past its outbox."""
    wire = Wire(quick=True)
    queue = send_queue(wire)
    queue.put({"type": "websocket.accept"})
    subscriber = Subscriber(queue, Caller(user_id, f"user{user_id}", user_id, 0), 1, 0)
    room = hub.subscribe(subscriber, Room(pk=1))
    subscriber.ready = True
    room.finish_catch_up(subscriber, 0)
    return wire


def test_a_copy_follows_what_was_said_before_it(hub: Hub) -> None:
    wire = enter(hub, 1)
    with state.write_batch.for_frames(2):
        hub.deliver(1, 1, 0, "a message")
        hub.send_to_users(1, [1], "a copy")
    assert wire.texts == ["a message", "a copy"]


@pytest.mark.parametrize("most", [1, None], ids=["in a crowd", "in a small room"])
def test_a_read_mark_follows_its_message(hub: Hub, settings: Settings, most: int | None) -> None:
    settings.CHAT_PRESENCE_MAX_USERS = most
    reader, other = enter(hub, 1), enter(hub, 2)
    with state.write_batch.for_frames(2):
        hub.deliver(1, 1, 0, "a message")
        hub.send_read_marker(1, 1, "a mark")
    assert reader.texts == ["a message", "a mark"]
    assert other.texts == (["a message", "a mark"] if most is None else ["a message"])


def test_what_several_rooms_are_told_together_reaches_each(hub: Hub) -> None:
    wire = enter(hub, 1)
    with state.write_batch.for_frames(3):
        for version in (1, 2):
            hub.deliver(1, version, 0, str(version))
            hub.deliver(2, version, 0, "elsewhere")
    assert (wire.texts, wire.writes) == (["1", "2"], 1)


def test_one_that_is_taken_out_hears_what_was_said_before_and_nothing_after(hub: Hub) -> None:
    gone, stays = enter(hub, 1), enter(hub, 2)
    with state.write_batch.for_frames(3):
        hub.deliver(1, 1, 0, "before")
        hub.disconnect_member(1, 1, 1, None)
        hub.deliver(1, 2, 1, "after")
    assert gone.texts == ["before"]
    assert stays.texts == ["before", "after"]
