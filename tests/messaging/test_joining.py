"""Joining by REST, by connecting and by sending leaves the same rows."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts.auth import Caller
from rooms.connecting import enter_public_room
from rooms.membership import join_room
from rooms.models import Ban, Member, Room, RoomKind
from tests.factories import make_caller, make_room, make_user, store_message

pytestmark = pytest.mark.django_db

Join = Callable[[Caller, Room], object]

PATHS: dict[str, Join] = {
    "rest": lambda caller, room: join_room(user_id=caller.user_id, room_id=room.pk),
    "connecting": lambda caller, room: enter_public_room(
        user_id=caller.user_id, name=room.name or ""
    ),
    "sending": store_message,
}


@pytest.fixture
def room(ila: Caller) -> Room:
    """A room with history, which a new member has not to read."""
    room = make_room(RoomKind.PUBLIC, owner=[ila.user_id])
    for _ in range(3):
        store_message(ila, room)
    return room


def rows_of(caller: Caller, room: Room) -> dict[str, Any]:
    room.refresh_from_db()
    columns = [field.attname for field in Member._meta.concrete_fields]
    (member,) = Member.objects.filter(room=room, user_id=caller.user_id).values(*columns)
    assert abs((timezone.now() - member.pop("joined_at")).total_seconds()) < 60
    del member["id"], member["user_id"], member["room_id"]
    return {
        "unread": room.last_seq - member.pop("last_read_seq"),
        "members": room.member_count,
        "access_epoch": room.access_epoch,
        "bans": Ban.objects.filter(room=room).count(),
        **member,
    }


@pytest.mark.parametrize("path", PATHS)
def test_joining_leaves_the_same_rows_on_every_path(path: str, room: Room) -> None:
    caller = make_caller(make_user())
    for _ in range(2):  # a second time changes nothing
        PATHS[path](caller, room)
        assert rows_of(caller, room) == {
            "unread": 0,
            "members": 2,
            "access_epoch": 0,
            "bans": 0,
            "role": "member",
            "muted": False,
        }
