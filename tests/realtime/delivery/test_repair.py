"""Repair: the query of every second, and the frames that it recovers."""

import asyncio
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.selectors import REPAIR_WINDOW, ended_sessions
from accounts.sessions import end_session
from realtime.delivery import repair as repair_module
from realtime.delivery.repair import Repair
from realtime.delivery.subscriber import Subscriber
from rooms.models import Room, RoomKind
from rooms.selectors import changed_room_counters
from tests.factories import Wire, make_caller, make_room, make_session, store_message
from tests.realtime.wiring import database, make_hub, make_revocation, send_queue

pytestmark = pytest.mark.django_db
MISSED = 40


def make(name: str) -> Room:
    return Room.objects.create(
        kind=RoomKind.PUBLIC, name=name, name_key=name, version=3, access_epoch=1
    )


def test_changed_counters_returns_only_rooms_that_differ() -> None:
    rooms = [make(name) for name in ("same", "older here", "removal", "ahead here")]
    same, older, removal, ahead = (room.pk for room in rooms)
    known = {same: (3, 1), older: (2, 1), removal: (3, 0), ahead: (4, 1)}
    assert changed_room_counters(known) == {older: (3, 1), removal: (3, 1), ahead: (3, 1)}


def test_changed_counters_returns_none_for_a_deleted_room() -> None:
    room = make("gone")
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now())
    assert changed_room_counters({room.pk: (3, 1)}) == {room.pk: None}


def test_ten_thousand_rooms_are_one_query() -> None:
    room = make("here")
    known = {room.pk: (3, 1)} | dict.fromkeys(range(1_000_000, 1_010_000), (1, 0))
    with CaptureQueriesContext(connection) as queries:
        assert len(changed_room_counters(known)) == 10_000
    assert len(queries) == 1


def test_changed_counters_of_no_rooms_are_empty() -> None:
    assert changed_room_counters({}) == {}


def test_ended_sessions_returns_only_requested_sessions() -> None:
    now = timezone.now()
    active, ended, elsewhere, long_ago = [
        make_session(ended_at=end).pk
        for end in (None, now, now, now - REPAIR_WINDOW - timedelta(seconds=9))
    ]
    with CaptureQueriesContext(connection) as queries:
        assert ended_sessions([active, ended, long_ago, 10**9], 1) == [ended]
    assert len(queries) == 1
    assert ended_sessions([elsewhere], 1) == [elsewhere]
    assert ended_sessions([], 1) == []


def test_ten_thousand_open_sessions_are_one_query() -> None:
    ended = make_session(ended_at=timezone.now()).pk
    with CaptureQueriesContext(connection) as queries:
        assert ended_sessions([ended, *range(1_000_000, 1_010_000)], 1) == [ended]
    assert len(queries) == 1


@pytest.mark.django_db(transaction=True)
async def test_session_ended_by_another_process_is_disconnected() -> None:
    hub, wire = make_hub(), Wire()
    repair = Repair(hub, make_revocation(hub), database)
    caller = await sync_to_async(make_caller)()
    room = await sync_to_async(make)("open")
    subscriber = Subscriber(send_queue(wire), caller, room.pk, room.version, room.access_epoch)
    hub.subscribe(subscriber, room)
    await repair._check()
    assert not subscriber.queue.closing
    await sync_to_async(end_session)(user_id=caller.user_id, session_id=caller.session_id)
    await repair._check()
    assert wire.sent[-1] == {"type": "websocket.close", "code": 4401, "reason": "session_ended"}


def room_with_missed_messages() -> Room:
    """Stores messages that no process broadcasts."""
    caller = make_caller()
    room = make_room(member=[caller.user_id])
    for number in range(MISSED):
        store_message(caller, room, f"{number}")
    return room


@pytest.mark.django_db(transaction=True)
async def test_missed_messages_are_repaired_in_order_and_in_one_write() -> None:
    row = await sync_to_async(room_with_missed_messages)()
    hub, wire = make_hub(), Wire(direct=True)
    repair = Repair(hub, make_revocation(hub), database)
    queue = send_queue(wire)
    queue.put({"type": "websocket.accept"})
    subscriber = Subscriber(queue, await sync_to_async(make_caller)(), row.access_epoch, 0)
    room = hub.subscribe(subscriber, Room(pk=row.pk, access_epoch=row.access_epoch))
    subscriber.ready = True
    room.finish_catch_up(subscriber, 0)
    repair.request_repair(room)
    async with asyncio.timeout(20):
        while room.version < MISSED:
            await asyncio.sleep(0.01)
    assert [f'"message":"{number}"' in text for number, text in enumerate(wire.texts)] == (
        [True] * MISSED
    )
    assert wire.writes == 1


@pytest.mark.parametrize(("limit", "value"), [("CHANGES", MISSED - 1), ("BYTES", 20_000)])
@pytest.mark.django_db(transaction=True)
async def test_clients_reconnect_when_a_repair_would_read_too_much(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    row = await sync_to_async(room_with_missed_messages)()
    monkeypatch.setattr(repair_module, f"MAX_REPAIRED_{limit}", value)
    hub, wire = make_hub(), Wire()
    repair = Repair(hub, make_revocation(hub), database)
    caller = await sync_to_async(make_caller)()
    subscriber = Subscriber(send_queue(wire), caller, row.pk, 0, row.access_epoch)
    room = hub.subscribe(subscriber, Room(pk=row.pk, access_epoch=row.access_epoch))
    room.finish_catch_up(subscriber, 0)
    assert await repair._repair(room) is False
    assert wire.sent == [{"type": "websocket.close", "code": 1012, "reason": ""}]
