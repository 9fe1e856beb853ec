"""Changed memberships are found in the database, without any hint."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.auth import Caller
from accounts.kernel.errors import Busy
from accounts.models import User
from messaging.my_rooms import AddedRoom, added_rooms
from messaging.unread import UserRoom
from realtime.delivery import membership_watch as module
from realtime.delivery.events_socket import EventsSocket
from realtime.delivery.events_subscriptions import EventsSubscriptions
from realtime.delivery.hub import Hub
from realtime.delivery.membership_watch import MembershipWatch
from realtime.errors import Removed
from rooms import membership, services
from rooms.followed_rooms import current_memberships, memberships
from rooms.membership_counters import changed_membership_counters
from rooms.models import Room, RoomKind
from rooms.notifications import change_notifications
from tests.factories import Wire, commits, make_caller, make_room, make_user, store_message
from tests.realtime.wiring import database, make_hub, make_recovery, send_queue

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


class Site:
    """A user with an events socket, a room of another user, and the watch."""

    def __init__(self) -> None:
        self.hub: Hub = make_hub()
        self.events_subscriptions = EventsSubscriptions(self.hub, make_recovery())
        self.watch = MembershipWatch(self.hub, self.events_subscriptions, database)
        self.owner: User = make_user()
        self.caller: Caller = make_caller()
        self.room: Room = make_room(
            RoomKind.GROUP, owner=[self.owner.pk], member=[self.caller.user_id]
        )
        self.wire = Wire()

    def open(self) -> EventsSocket:
        """Opens the socket, as `events_handshake` does."""
        found = memberships(self.caller.user_id, limit=10)
        socket = EventsSocket(send_queue(self.wire), self.caller, found)
        self.hub.open_events_socket(socket)
        socket.ready = True
        for row in found.rooms:
            self.events_subscriptions.start(self.events_subscriptions.subscribe(socket, row))
        return socket

    async def check(self) -> list[dict[str, Any]]:
        """Checks as once a second; returns the new frames."""
        before = len(self.wire.texts)
        await self.watch.check_now(self.caller.user_id)
        return [json.loads(text) for text in self.wire.texts[before:]]

    async def change(self, call: Callable[..., object], **arguments: Any) -> None:
        await sync_to_async(call)(**arguments)


@pytest.fixture
async def site() -> Site:
    made = await sync_to_async(Site)()
    await sync_to_async(made.open)()
    return made


async def test_membership_that_began_ended_or_was_muted_is_announced(site: Site) -> None:
    assert await site.check() == []
    new = await sync_to_async(make_room)(RoomKind.GROUP, owner=[site.owner.pk])
    name = site.caller.username
    await site.change(membership.add_members, user_id=site.owner.pk, room_id=new.pk, people=[name])
    (added,) = await site.check()
    assert (added["type"], added["room"]["id"]) == ("room_added", new.pk)
    assert set(site.hub.rooms) == {site.room.pk, new.pk}
    await site.change(change_notifications, user_id=site.caller.user_id, room_id=new.pk, muted=True)
    assert await site.check() == []
    await asyncio.sleep(module.MARKS_DELAY * 3)
    marks = json.loads(site.wire.texts[-1])
    assert (marks["type"], marks["room_id"], marks["muted"]) == ("marks", new.pk, True)
    await site.change(
        membership.remove_member, user_id=site.owner.pk, room_id=new.pk, username=name
    )
    assert await site.check() == [{"type": "room_removed", "room_id": new.pk, "reason": "removed"}]
    await site.change(services.delete_room, user_id=site.owner.pk, room_id=site.room.pk)
    assert await site.check() == [
        {"type": "room_removed", "room_id": site.room.pk, "reason": "deleted"}
    ]
    assert not site.hub.rooms
    assert await site.check() == []


async def test_hint_leads_to_one_check_for_users_of_this_process(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[dict[int, int]] = []

    def record(known: dict[int, int]) -> dict[int, int]:
        checked.append(known)
        return changed_membership_counters(known)

    monkeypatch.setattr(module, "changed_membership_counters", record)
    monkeypatch.setattr(module, "CHECK_DELAY", 0)
    for _ in range(3):
        site.watch.hint([site.caller.user_id, 10**9])
    site.watch.hint([10**9])
    await asyncio.sleep(0.3)
    assert checked == [{site.caller.user_id: 0}]


async def test_room_that_was_joined_during_a_check_is_not_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check has read the memberships before the user joined."""
    (socket,) = site.hub.events_sockets[site.caller.user_id]
    new = await sync_to_async(make_room)(RoomKind.GROUP, owner=[site.owner.pk])

    def read_then_join(user_ids: list[int]) -> dict[int, dict[int, bool]]:
        found = current_memberships(user_ids)
        row = memberships(site.caller.user_id, limit=10).rooms[0]
        loop.call_soon_threadsafe(
            site.events_subscriptions.subscribe, socket, row._replace(pk=new.pk)
        )
        return found

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(module, "current_memberships", read_then_join)
    await site.change(
        change_notifications, user_id=site.caller.user_id, room_id=site.room.pk, muted=True
    )
    assert await site.check() == []
    assert socket.knows(new.pk)


@pytest.mark.parametrize("moment", ["during", "after"])
async def test_membership_that_ended_and_began_is_announced_when_the_removal_arrives_late(
    site: Site, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The check reads the new membership while the socket still has the room of the old one."""
    (socket,) = site.hub.events_sockets[site.caller.user_id]
    name, owner, room = site.caller.username, site.owner.pk, site.room.pk
    await site.change(membership.remove_member, user_id=owner, room_id=room, username=name)
    await site.change(membership.add_members, user_id=owner, room_id=room, people=[name])
    loop = asyncio.get_running_loop()

    def end() -> None:
        site.events_subscriptions.end(socket.followed[room], Removed())

    def read_then_end(user_ids: list[int]) -> dict[int, dict[int, bool]]:
        found = current_memberships(user_ids)
        loop.call_soon_threadsafe(end)
        return found

    with monkeypatch.context() as patched:
        if moment == "during":
            patched.setattr(module, "current_memberships", read_then_end)
        await site.check()
    if moment == "after":
        end()
    assert json.loads(site.wire.texts[-1])["type"] == "room_removed"
    (added,) = await site.check()
    assert (added["type"], added["room"]["id"]) == ("room_added", room)
    assert await site.check() == []


async def test_check_that_failed_is_repeated(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(user_ids: list[int]) -> dict[int, dict[int, bool]]:
        raise Busy

    await site.change(services.delete_room, user_id=site.owner.pk, room_id=site.room.pk)
    with monkeypatch.context() as patched:
        patched.setattr(module, "current_memberships", fail)
        with pytest.raises(Busy):
            await site.check()
    (removed,) = await site.check()
    assert removed["reason"] == "deleted"


async def test_room_beyond_the_limit_is_announced_and_not_followed(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CHAT_ROOMS_PER_SOCKET = 1
    monkeypatch.setattr("realtime.delivery.events_subscriptions.MAX_FURTHER_ROOMS", 0)
    body = {"user_id": site.owner.pk, "name": "beyond", "members": [site.caller.user_id]}
    await site.change(services.create_room, kind=RoomKind.GROUP, **body)
    (added,) = await site.check()
    (socket,) = site.hub.events_sockets[site.caller.user_id]
    assert socket.others == {added["room"]["id"]}
    assert set(site.hub.rooms) == {site.room.pk}


async def test_announcement_has_the_messages_up_to_its_version(site: Site) -> None:
    writer, name = await sync_to_async(make_caller)(site.owner), site.caller.username
    new = await sync_to_async(make_room)(RoomKind.GROUP, owner=[site.owner.pk])
    await site.change(store_message, caller=writer, room=new, content="first")
    await site.change(membership.add_members, user_id=site.owner.pk, room_id=new.pk, people=[name])
    (added,) = await site.check()
    assert (added["room"]["version"], added["room"]["last_message"]["content"]) == (1, "first")
    site.hub.deliver(new.pk, 2, 0, '{"version":2}')
    assert json.loads(site.wire.texts[-1]) == {"version": 2}


async def test_read_marker_is_announced_to_the_sockets_of_its_user_only(site: Site) -> None:
    site.watch.marks_changed(site.owner.pk, site.room.pk)
    for _ in range(3):
        site.watch.marks_changed(site.caller.user_id, site.room.pk)
    await asyncio.sleep(module.MARKS_DELAY * 3)
    assert [json.loads(text)["type"] for text in site.wire.texts] == ["marks"]


async def test_watch_survives_a_busy_database(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(known: object) -> dict[int, int]:
        raise Busy

    monkeypatch.setattr(module, "CHECK_DELAY", 0)
    with monkeypatch.context() as patched:
        patched.setattr(module, "changed_membership_counters", fail)
        site.watch.hint([site.caller.user_id])
        await asyncio.sleep(0.2)
    assert "wait for the database" in caplog.text
    await site.change(services.delete_room, user_id=site.owner.pk, room_id=site.room.pk)
    site.watch.hint([site.caller.user_id])
    await asyncio.sleep(0.3)
    assert json.loads(site.wire.texts[-1])["reason"] == "deleted"


def test_ten_thousand_users_are_one_query() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert changed_membership_counters(dict.fromkeys(range(1, 10_001), 0)) == {}
    assert len(queries) == 1


def test_rooms_of_a_socket_are_two_queries_for_any_number() -> None:
    user = make_user()
    for _ in range(20):
        make_room(RoomKind.GROUP, owner=[user.pk])
    with CaptureQueriesContext(connection) as queries:
        assert len(memberships(user.pk, limit=None).rooms) == 20
    assert len(queries) == 2


async def test_socket_that_closes_during_a_check_gets_no_new_subscription(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (socket,) = site.hub.events_sockets[site.caller.user_id]
    new = await sync_to_async(make_room)(RoomKind.GROUP, owner=[site.owner.pk])
    name = site.caller.username
    await site.change(membership.add_members, user_id=site.owner.pk, room_id=new.pk, people=[name])

    def closing(rooms: Collection[UserRoom]) -> Mapping[UserRoom, AddedRoom]:
        site.hub.close_events_socket(socket)
        return added_rooms(rooms)

    monkeypatch.setattr(module, "added_rooms", closing)
    await site.check()
    assert new.pk not in site.hub.rooms
    assert socket.followed == {}
