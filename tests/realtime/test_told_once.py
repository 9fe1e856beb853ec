"""A message that changed before the repair found it is a `message` only to those who lack it."""

from accounts.auth import Caller
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.send_queue import SendQueue
from realtime.delivery.subscriber import Frame, Listener, text_event
from tests.factories import Wire


def _listener(user_id: int, version: int) -> tuple[Listener, Wire]:
    wire = Wire()
    caller = Caller(user_id, f"user{user_id}", 1, 0)
    return Listener(SendQueue(wire), caller, 1, version), wire


def _edited(created: int, version: int) -> Frame:
    return Frame(version, 0, text_event("message"), created, text_event("edit"))


def test_one_who_replayed_further_than_the_room_hears_a_change() -> None:
    room = LocalRoom(1, 55, 0)
    live, heard_live = _listener(1, 55)
    ahead, heard_ahead = _listener(2, 60)
    for listener, version in ((live, 55), (ahead, 60)):
        room.add(listener)
        room.settle(listener, version)
    room.fill([Frame(56, 0, text_event("other")), _edited(58, 62)])
    assert heard_live.texts == ["other", "message"]
    assert heard_ahead.texts == ["edit"]


def test_one_who_is_caught_up_with_during_a_repair_hears_a_change() -> None:
    room = LocalRoom(1, 55, 0)
    ahead, heard = _listener(1, 60)
    room.add(ahead)
    room.settle(ahead, 60)
    room.fill([Frame(61, 0, text_event("other")), _edited(58, 62)])
    assert heard.texts == ["other", "edit"]
    room.deliver(Frame(63, 0, text_event("live")))
    assert heard.texts[-1] == "live"
    assert not room.settling


def test_one_who_still_replays_hears_a_change_when_released() -> None:
    room = LocalRoom(1, 55, 0)
    listener, heard = _listener(1, 50)
    room.add(listener)
    room.fill([_edited(58, 62), _edited(61, 63)])
    room.settle(listener, 60)
    assert heard.texts == ["edit", "message"]


def test_one_who_heard_it_while_the_database_was_read_hears_a_change() -> None:
    room = LocalRoom(1, 55, 0)
    listener, heard = _listener(1, 55)
    room.add(listener)
    room.settle(listener, 55)
    room.deliver(Frame(56, 0, text_event("made")))
    room.fill([_edited(56, 57)])
    assert heard.texts == ["made", "edit"]
