"""The database's constraints of rooms, members and bans."""

from typing import Any

import pytest
from django.db import IntegrityError

from rooms.models import Ban, Room, RoomKind
from tests.factories import make_member, make_private_room, make_room, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def test_two_users_have_one_private_room() -> None:
    low, high = make_user(), make_user()
    make_private_room(low.pk, high)
    with pytest.raises(IntegrityError, match=r"room_pair_once|low_id"):
        Room.objects.create(kind=RoomKind.PRIVATE, low=low, high=high)


def test_room_name_is_unique_among_existing_rooms() -> None:
    Room.objects.create(kind=RoomKind.PUBLIC, name="Sports", name_key="sports")
    with pytest.raises(IntegrityError, match=r"room_name_once|name_key"):
        Room.objects.create(kind=RoomKind.GROUP, name="sports", name_key="sports")


def test_member_is_unique_in_a_room() -> None:
    room, user = make_room(), make_user()
    make_member(room, user.pk)
    with pytest.raises(IntegrityError, match=r"member_once|room_id"):
        make_member(room, user.pk)


def test_ban_is_unique_in_a_room() -> None:
    room, user = make_room(), make_user()
    Ban.objects.create(room=room, user=user)
    with pytest.raises(IntegrityError, match=r"ban_once|room_id"):
        Ban.objects.create(room=room, user=user)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": RoomKind.PUBLIC},
        {"kind": RoomKind.GROUP, "name": "a"},
        {"kind": RoomKind.GROUP, "name_key": "a"},
        {"kind": RoomKind.PUBLIC, "name": "a", "name_key": "a", "low": 0, "high": 1},
        {"kind": RoomKind.PRIVATE},
        {"kind": RoomKind.PRIVATE, "low": 0},
        {"kind": RoomKind.PRIVATE, "low": 0, "high": 0},
        {"kind": RoomKind.PRIVATE, "low": 1, "high": 0},
        {"kind": RoomKind.PRIVATE, "low": 0, "high": 1, "name": "a"},
        {"kind": RoomKind.PRIVATE, "low": 0, "high": 1, "name_key": "a"},
    ],
)
def test_room_has_either_a_name_or_two_users(values: dict[str, Any]) -> None:
    users = [make_user(), make_user()]
    values = {
        key: users[value] if key in ("low", "high") else value for key, value in values.items()
    }
    with pytest.raises(IntegrityError, match="room_is_named_or_a_pair"):
        Room.objects.create(**values)


def test_version_is_never_below_last_seq() -> None:
    room = make_room()
    with pytest.raises(IntegrityError, match="room_version_covers_seq"):
        Room.objects.filter(pk=room.pk).update(last_seq=5, version=4)
