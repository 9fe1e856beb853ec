"""A message that changed before the repair found it is a `message` only to those who lack it."""

from accounts.auth import Caller
from realtime.delivery.subscriber import Subscriber, VersionedFrame, text_event
from tests.factories import Wire
from tests.realtime.wiring import local_room, send_queue


def _listener(user_id: int, version: int) -> tuple[Subscriber, Wire]:
    wire = Wire()
    caller = Caller(user_id, f"user{user_id}", 1, 0)
    return Subscriber(send_queue(wire), caller, 1, version), wire


def _edited(created: int, version: int) -> VersionedFrame:
    return VersionedFrame(version, 0, text_event("message"), created, text_event("edit"))


def test_one_who_replayed_further_than_the_room_hears_a_change() -> None:
    room = local_room(1, 55, 0)
    queued_subscribers, heard_live = _listener(1, 55)
    ahead, heard_ahead = _listener(2, 60)
    for subscriber, version in ((queued_subscribers, 55), (ahead, 60)):
        room.add(subscriber)
        room.finish_catch_up(subscriber, version)
    room.fill([VersionedFrame(56, 0, text_event("other")), _edited(58, 62)])
    assert heard_live.texts == ["other", "message"]
    assert heard_ahead.texts == ["edit"]


def test_one_who_is_caught_up_with_during_a_repair_hears_a_change() -> None:
    room = local_room(1, 55, 0)
    ahead, heard = _listener(1, 60)
    room.add(ahead)
    room.finish_catch_up(ahead, 60)
    room.fill([VersionedFrame(61, 0, text_event("other")), _edited(58, 62)])
    assert heard.texts == ["other", "edit"]
    room.deliver(VersionedFrame(63, 0, text_event("live")))
    assert heard.texts[-1] == "live"
    assert not room.catching_up


def test_one_who_still_replays_hears_a_change_when_released() -> None:
    room = local_room(1, 55, 0)
    subscriber, heard = _listener(1, 50)
    room.add(subscriber)
    room.fill([_edited(58, 62), _edited(61, 63)])
    room.finish_catch_up(subscriber, 60)
    assert heard.texts == ["edit", "message"]


def test_one_who_heard_it_while_the_database_was_read_hears_a_change() -> None:
    room = local_room(1, 55, 0)
    subscriber, heard = _listener(1, 55)
    room.add(subscriber)
    room.finish_catch_up(subscriber, 55)
    room.deliver(VersionedFrame(56, 0, text_event("made")))
    room.fill([_edited(56, 57)])
    assert heard.texts == ["made", "edit"]
