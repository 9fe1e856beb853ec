"""Connecting: which room a user enters, and who may not."""

from collections.abc import Callable

import pytest

from accounts.kernel.errors import Forbidden
from rooms import connecting, services
from rooms.errors import NoSuchRoom, NotAMember
from rooms.models import Member, Role, Room, RoomKind
from tests.factories import commits, make_room, make_user, run_concurrently

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def role_of(user_id: int, room: Room) -> str | None:
    return Member.objects.filter(room=room, user_id=user_id).values_list("role", flat=True).first()


def counts_right(room: Room) -> bool:
    room.refresh_from_db()
    return room.member_count == room.members.count()


def test_public_room_is_created_on_first_use_without_owner() -> None:
    user = make_user()
    room = connecting.enter_public_room(user_id=user.pk, name="Zoe\u0308")
    assert (room.name, room.kind) == ("Zoë", RoomKind.PUBLIC)
    assert role_of(user.pk, room) == Role.MEMBER
    assert counts_right(room)


def test_entering_a_room_again_changes_nothing() -> None:
    user = make_user()
    room = connecting.enter_public_room(user_id=user.pk, name="sports")
    assert connecting.enter_public_room(user_id=user.pk, name="SPORTS") == room
    assert counts_right(room)


@commits
def test_concurrent_first_use_creates_one_room() -> None:
    ids = [make_user().pk for _ in range(4)]
    calls: list[Callable[[], Room]] = [
        lambda user_id=user_id: connecting.enter_public_room(user_id=user_id, name="sports")  # type: ignore[misc]
        for user_id in ids
    ]
    outcomes = run_concurrently(*calls)
    room = Room.objects.get()
    assert outcomes == [room] * 4
    assert room.members.count() == 4
    assert counts_right(room)


@pytest.mark.parametrize("name", ["", "a b", "a@b", "..", "a" * 65, "a\x00"])
def test_invalid_room_name_is_no_room(name: str) -> None:
    with pytest.raises(NoSuchRoom):
        connecting.enter_public_room(user_id=make_user().pk, name=name)
    assert not Room.objects.exists()


def test_entering_does_not_recreate_a_deleted_room() -> None:
    owner = make_user()
    room = make_room(name="sports", owner=[owner.pk])
    services.delete_room(user_id=owner.pk, room_id=room.pk)
    for user_id in (owner.pk, make_user().pk):
        with pytest.raises(NoSuchRoom):
            connecting.enter_public_room(user_id=user_id, name="sports")


def test_room_recreated_after_deletion_can_be_entered() -> None:
    owner = make_user()
    room = make_room(name="sports", owner=[owner.pk])
    services.delete_room(user_id=owner.pk, room_id=room.pk)
    again = services.create_room(user_id=owner.pk, name="sports")
    assert connecting.enter_public_room(user_id=make_user().pk, name="sports") == again


def test_group_is_closed_to_non_members_at_both_urls() -> None:
    make_room(RoomKind.GROUP, name="friends", owner=[make_user().pk])
    stranger = make_user().pk
    with pytest.raises(NotAMember):
        connecting.enter_public_room(user_id=stranger, name="friends")
    for name in ("friends", "nothing", "im possible", "a\x00"):
        with pytest.raises(NotAMember):
            connecting.enter_group_room(user_id=stranger, name=name)


def test_each_kind_of_room_has_its_own_url() -> None:
    user = make_user()
    group = make_room(RoomKind.GROUP, name="friends", owner=[user.pk])
    make_room(name="sports", owner=[user.pk])
    assert connecting.enter_group_room(user_id=user.pk, name="FRIENDS") == group
    with pytest.raises(Forbidden):
        connecting.enter_public_room(user_id=user.pk, name="friends")
    with pytest.raises(NotAMember):
        connecting.enter_group_room(user_id=user.pk, name="sports")
