"""Repair sends a changed message as `message` only to sockets that lack it."""

from accounts.auth import Caller
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from tests.factories import Wire
from tests.realtime.wiring import local_room, send_queue


def _subscriber(user_id: int, version: int) -> tuple[Subscriber, Wire]:
    wire = Wire()
    caller = Caller(user_id, f"user{user_id}", 1, 0)
    return Subscriber(send_queue(wire), caller, 1, version), wire


def _edited(created: int, version: int) -> VersionedFrame:
    return VersionedFrame(version, 0, text_event("message"), created, text_event("edit"))


def test_subscriber_ahead_of_the_room_receives_a_change() -> None:
    room = local_room(1, 55, 0)
    up_to_date, received_live = _subscriber(1, 55)
    ahead, received_ahead = _subscriber(2, 60)
    for subscriber, version in ((up_to_date, 55), (ahead, 60)):
        room.add(subscriber)
        room.finish_catch_up(subscriber, version)
    room.fill([VersionedFrame(56, 0, text_event("other")), _edited(58, 62)])
    assert received_live.texts == ["other", "message"]
    assert received_ahead.texts == ["edit"]


def test_subscriber_reached_during_a_repair_receives_a_change() -> None:
    room = local_room(1, 55, 0)
    ahead, received = _subscriber(1, 60)
    room.add(ahead)
    room.finish_catch_up(ahead, 60)
    room.fill([VersionedFrame(61, 0, text_event("other")), _edited(58, 62)])
    assert received.texts == ["other", "edit"]
    room.deliver(VersionedFrame(63, 0, text_event("live")))
    assert received.texts[-1] == "live"
    assert not room.catching_up


def test_replaying_subscriber_receives_a_change_when_released() -> None:
    room = local_room(1, 55, 0)
    subscriber, received = _subscriber(1, 50)
    room.add(subscriber)
    room.fill([_edited(58, 62), _edited(61, 63)])
    room.finish_catch_up(subscriber, 60)
    assert received.texts == ["edit", "message"]


def test_subscriber_with_the_live_message_receives_a_change() -> None:
    room = local_room(1, 55, 0)
    subscriber, received = _subscriber(1, 55)
    room.add(subscriber)
    room.finish_catch_up(subscriber, 55)
    room.deliver(VersionedFrame(56, 0, text_event("made")))
    room.fill([_edited(56, 57)])
    assert received.texts == ["made", "edit"]
