"""Rooms: creating, changing and deleting."""

from collections.abc import Callable

import pytest
from django.db import transaction
from pytest_django import Settings

from accounts.kernel.errors import Forbidden, NoSuchUser, RateLimited
from accounts.kernel.rate_limits import Rate, buckets
from rooms import connecting, membership, selectors, services
from rooms.errors import NoSuchRoom, NotAMember, RoomExists, UnknownUsers
from rooms.events import RoomChanged, RoomDeleted
from rooms.models import Member, Role, Room, RoomKind
from tests.factories import (
    collect_events,
    commits,
    make_member,
    make_private_room,
    make_room,
    make_user,
    run_concurrently,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def role_of(user_id: int, room: Room) -> str | None:
    return Member.objects.filter(room=room, user_id=user_id).values_list("role", flat=True).first()


def rooms_seen_by(user_id: int) -> set[Room]:
    walks = selectors.listed_rooms(user_id, kind=None)
    return {room for walk in walks for room in walk}


def counts_right(room: Room) -> bool:
    room.refresh_from_db()
    return room.member_count == room.members.count()


# Creating rooms


def test_creator_owns_the_room() -> None:
    owner, friend = make_user(), make_user()
    room = services.create_room(
        user_id=owner.pk, name="Sports", kind=RoomKind.GROUP, members=[friend.username, owner.pk]
    )
    assert role_of(owner.pk, room) == Role.OWNER
    assert role_of(friend.pk, room) == Role.MEMBER
    assert counts_right(room)


def test_unknown_users_prevent_room_creation() -> None:
    gone = make_user("gone", is_active=False)
    with pytest.raises(UnknownUsers) as refusal:
        services.create_room(
            user_id=make_user().pk, name="sports", members=["unknown", gone.username, 999_999]
        )
    assert [error["msg"].split()[-1] for error in refusal.value.errors or ()] == [
        "unknown",
        "gone",
        "999999",
    ]
    assert not Room.objects.exists()


def test_connecting_creates_no_lookalike_room(settings: Settings) -> None:
    settings.CHAT_ROOM_RATE = Rate(1, 60, 1)
    buckets.clear()
    user = make_user()
    for name in ("sрorts", "s" + "\u0301" * 9, "1١"):
        with pytest.raises(NoSuchRoom):
            connecting.enter_public_room(user_id=user.pk, name=name)
    assert not Room.objects.exists()
    # A refusal consumes no rate, and a room older than the rule can still be entered.
    assert connecting.enter_public_room(user_id=user.pk, name="sports").pk
    old = make_room(name="sрorts")
    assert connecting.enter_public_room(user_id=user.pk, name="SРORTS") == old


@pytest.mark.parametrize("name", ["sports", "SPORTS", "ｓｐｏｒｔｓ"])
def test_room_name_is_unique_across_spellings(name: str) -> None:
    user = make_user()
    services.create_room(user_id=user.pk, name="Sports", kind=RoomKind.GROUP)
    with pytest.raises(RoomExists):
        services.create_room(user_id=user.pk, name=name)


def test_name_of_a_deleted_room_can_be_reused() -> None:
    user = make_user()
    room = services.create_room(user_id=user.pk, name="sports")
    services.delete_room(user_id=user.pk, room_id=room.pk)
    assert services.create_room(user_id=user.pk, name="sports").pk != room.pk


@commits
def test_concurrent_room_creation_has_one_winner() -> None:
    ids = [make_user().pk for _ in range(4)]
    calls: list[Callable[[], Room]] = [
        lambda user_id=user_id: services.create_room(user_id=user_id, name="sports")  # type: ignore[misc]
        for user_id in ids
    ]
    outcomes = run_concurrently(*calls)
    assert sum(isinstance(outcome, Room) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RoomExists) for outcome in outcomes) == 3


def test_room_creation_is_rate_limited(settings: Settings) -> None:
    buckets.clear()
    settings.CHAT_ROOM_RATE = Rate(1, 60, 1)
    user = make_user()
    connecting.enter_public_room(user_id=user.pk, name="one")
    with pytest.raises(RateLimited):
        connecting.enter_public_room(user_id=user.pk, name="two")
    with pytest.raises(RateLimited):
        services.open_private_room(user_id=user.pk, other=make_user())
    connecting.enter_public_room(user_id=user.pk, name="one")


def test_failed_room_creation_refunds_its_rate(settings: Settings) -> None:
    buckets.clear()
    settings.CHAT_ROOM_RATE = Rate(1, 60, 1)
    user = make_user()
    make_room(name="taken")
    for _ in range(3):
        with pytest.raises(RoomExists):
            services.create_room(user_id=user.pk, name="taken")
        with pytest.raises(UnknownUsers):
            services.create_room(user_id=user.pk, name="free", members=["unknown"])
    services.create_room(user_id=user.pk, name="free")
    with pytest.raises(RateLimited):
        services.create_room(user_id=user.pk, name="taken")


# Private rooms


def test_private_room_is_the_same_from_both_sides() -> None:
    one, other = make_user("one"), make_user("other")
    room = connecting.enter_private_room(user_id=one.pk, username="OTHER")
    assert connecting.enter_private_room(user_id=other.pk, username="one") == room
    assert services.open_private_room(user_id=other.pk, other=one) == room
    assert room.pair_names == ["one", "other"]
    assert counts_right(room)


@commits
def test_concurrent_opens_create_one_private_room() -> None:
    one, other = make_user("one"), make_user("other")
    outcomes = run_concurrently(
        lambda: connecting.enter_private_room(user_id=one.pk, username="other"),
        lambda: connecting.enter_private_room(user_id=other.pk, username="one"),
    )
    assert outcomes == [Room.objects.get()] * 2


def test_private_room_with_oneself_is_refused() -> None:
    user = make_user("ila")
    with pytest.raises(Forbidden):
        connecting.enter_private_room(user_id=user.pk, username="ILA")


def test_private_room_with_an_unknown_or_deactivated_user_is_refused() -> None:
    user, gone = make_user(), make_user("gone")
    make_private_room(user.pk, gone)
    gone.is_active = False
    gone.save()
    for name in ("gone", "unknown", "un/known", "a\x00", ""):
        with pytest.raises(NoSuchUser):
            connecting.enter_private_room(user_id=user.pk, username=name)


# Managing


@pytest.mark.parametrize("role", ["admin", "member"])
def test_only_an_owner_changes_roles_and_deletes_the_room(role: str) -> None:
    user, owner = make_user(), make_user()
    room = make_room(owner=[owner.pk])
    make_member(room, user.pk, Role(role))
    with pytest.raises(Forbidden):
        membership.change_role(
            user_id=user.pk, room_id=room.pk, username=user.username, role=Role.OWNER
        )
    with pytest.raises(Forbidden):
        services.delete_room(user_id=user.pk, room_id=room.pk)
    assert role_of(user.pk, room) == role


def test_permission_is_checked_before_state() -> None:
    owner, admin = make_user("owner"), make_user()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], admin=[admin.pk])
    with pytest.raises(Forbidden):
        membership.change_role(
            user_id=admin.pk, room_id=room.pk, username="owner", role=Role.MEMBER
        )


def test_staff_moderate_only_public_rooms() -> None:
    staff, owner = make_user(is_staff=True), make_user("owner")
    public = make_room(member=[owner.pk])
    group = make_room(RoomKind.GROUP, owner=[owner.pk], member=[staff.pk])
    membership.remove_member(user_id=staff.pk, room_id=public.pk, username="owner")
    membership.add_members(user_id=staff.pk, room_id=public.pk, people=["owner"])
    assert role_of(owner.pk, public) == Role.MEMBER
    services.change_room(user_id=staff.pk, room_id=public.pk, title="Ours", topic=None)
    services.delete_room(user_id=staff.pk, room_id=public.pk)
    with pytest.raises(Forbidden):
        services.change_room(user_id=staff.pk, room_id=group.pk, title="Ours", topic=None)


@commits
def test_title_change_is_published_and_keeps_the_topic() -> None:
    owner = make_user()
    room = services.create_room(user_id=owner.pk, name="sports", topic="All of them")
    with collect_events() as events:
        services.change_room(user_id=owner.pk, room_id=room.pk, title="Sports", topic=None)
    (event,) = events
    assert isinstance(event, RoomChanged)
    assert (event.room.title, event.room.topic, event.room.version) == ("Sports", "All of them", 0)


@commits
def test_deleted_room_is_gone_for_all_users() -> None:
    owner, friend = make_user(), make_user()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[friend.pk])
    with collect_events() as events:
        services.delete_room(user_id=owner.pk, room_id=room.pk)
    assert events == [RoomDeleted(room.pk)]
    for user in (owner, friend):
        assert room not in rooms_seen_by(user.pk)
        with pytest.raises(NoSuchRoom):
            selectors.room_access(user.pk, room.pk)
        with pytest.raises(NotAMember):
            connecting.enter_group_room(user_id=user.pk, name=room.name or "")


@commits
def test_rolled_back_changes_are_not_published() -> None:
    owner = make_user()
    room = make_room(owner=[owner.pk])
    with collect_events() as events, transaction.atomic():
        services.delete_room(user_id=owner.pk, room_id=room.pk)
        transaction.set_rollback(True)
    assert events == []
    assert room in rooms_seen_by(owner.pk)
