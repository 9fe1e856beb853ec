"""Rooms: creating, entering, leaving, managing, and the database's constraints."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings

from accounts.kernel.errors import Forbidden, NoSuchUser, RateLimited
from accounts.kernel.rate_limits import Rate, buckets
from accounts.models import User
from messaging.selectors import history
from rooms import membership, selectors, services
from rooms.errors import LastOwner, NoSuchMember, NoSuchRoom, NotAMember, RoomExists, UnknownUsers
from rooms.events import (
    MemberLeft,
    MemberRemoved,
    MembershipsChanged,
    RoomChanged,
    RoomDeleted,
)
from rooms.models import Ban, Member, Role, Room, RoomKind
from tests.factories import (
    at_once,
    commits,
    draft,
    make_member,
    make_private_room,
    make_room,
    make_sign_in,
    make_user,
    published,
    say,
    store_now,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def role_of(user_id: int, room: Room) -> str | None:
    return Member.objects.filter(room=room, user_id=user_id).values_list("role", flat=True).first()


def rooms_seen_by(user_id: int) -> set[Room]:
    walks = selectors.find_rooms(user_id, text="", kind=None)
    return {room for walk in walks for room in walk}


def counts_right(room: Room) -> bool:
    room.refresh_from_db()
    return room.member_count == room.members.count()


# Database constraints


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
            membership.enter_public_room(user_id=user.pk, name=name)
    assert not Room.objects.exists()
    # A refusal consumes no rate, and a room older than the rule can still be entered.
    assert membership.enter_public_room(user_id=user.pk, name="sports").pk
    old = make_room(name="sрorts")
    assert membership.enter_public_room(user_id=user.pk, name="SРORTS") == old


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
    outcomes = at_once(*calls)
    assert sum(isinstance(outcome, Room) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RoomExists) for outcome in outcomes) == 3


def test_room_creation_is_rate_limited(settings: Settings) -> None:
    buckets.clear()
    settings.CHAT_ROOM_RATE = Rate(1, 60, 1)
    user = make_user()
    membership.enter_public_room(user_id=user.pk, name="one")
    with pytest.raises(RateLimited):
        membership.enter_public_room(user_id=user.pk, name="two")
    with pytest.raises(RateLimited):
        services.open_private_room(user_id=user.pk, other=make_user())
    membership.enter_public_room(user_id=user.pk, name="one")


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
    room = membership.enter_private_room(user_id=one.pk, username="OTHER")
    assert membership.enter_private_room(user_id=other.pk, username="one") == room
    assert services.open_private_room(user_id=other.pk, other=one) == room
    assert room.pair_names == ["one", "other"]
    assert counts_right(room)


@commits
def test_concurrent_opens_create_one_private_room() -> None:
    one, other = make_user("one"), make_user("other")
    outcomes = at_once(
        lambda: membership.enter_private_room(user_id=one.pk, username="other"),
        lambda: membership.enter_private_room(user_id=other.pk, username="one"),
    )
    assert outcomes == [Room.objects.get()] * 2


def test_private_room_with_oneself_is_refused() -> None:
    user = make_user("ila")
    with pytest.raises(Forbidden):
        membership.enter_private_room(user_id=user.pk, username="ILA")


def test_private_room_with_an_unknown_or_deactivated_user_is_refused() -> None:
    user, gone = make_user(), make_user("gone")
    make_private_room(user.pk, gone)
    gone.is_active = False
    gone.save()
    for name in ("gone", "unknown", "un/known", "a\x00", ""):
        with pytest.raises(NoSuchUser):
            membership.enter_private_room(user_id=user.pk, username=name)


# Entering by socket


def test_public_room_is_created_on_first_use_without_owner() -> None:
    user = make_user()
    room = membership.enter_public_room(user_id=user.pk, name="Zoe\u0308")
    assert (room.name, room.kind) == ("Zoë", RoomKind.PUBLIC)
    assert role_of(user.pk, room) == Role.MEMBER
    assert counts_right(room)


def test_entering_a_room_again_changes_nothing() -> None:
    user = make_user()
    room = membership.enter_public_room(user_id=user.pk, name="sports")
    assert membership.enter_public_room(user_id=user.pk, name="SPORTS") == room
    assert counts_right(room)


@commits
def test_concurrent_first_use_creates_one_room() -> None:
    ids = [make_user().pk for _ in range(4)]
    calls: list[Callable[[], Room]] = [
        lambda user_id=user_id: membership.enter_public_room(user_id=user_id, name="sports")  # type: ignore[misc]
        for user_id in ids
    ]
    outcomes = at_once(*calls)
    room = Room.objects.get()
    assert outcomes == [room] * 4
    assert room.members.count() == 4
    assert counts_right(room)


@pytest.mark.parametrize("name", ["", "a b", "a@b", "..", "a" * 65, "a\x00"])
def test_invalid_room_name_is_no_room(name: str) -> None:
    with pytest.raises(NoSuchRoom):
        membership.enter_public_room(user_id=make_user().pk, name=name)
    assert not Room.objects.exists()


def test_entering_does_not_recreate_a_deleted_room() -> None:
    owner = make_user()
    room = make_room(name="sports", owner=[owner.pk])
    services.delete_room(user_id=owner.pk, room_id=room.pk)
    for user_id in (owner.pk, make_user().pk):
        with pytest.raises(NoSuchRoom):
            membership.enter_public_room(user_id=user_id, name="sports")


def test_room_recreated_after_deletion_can_be_entered() -> None:
    owner = make_user()
    room = make_room(name="sports", owner=[owner.pk])
    services.delete_room(user_id=owner.pk, room_id=room.pk)
    again = services.create_room(user_id=owner.pk, name="sports")
    assert membership.enter_public_room(user_id=make_user().pk, name="sports") == again


def test_group_is_closed_to_non_members_at_both_urls() -> None:
    make_room(RoomKind.GROUP, name="friends", owner=[make_user().pk])
    stranger = make_user().pk
    with pytest.raises(NotAMember):
        membership.enter_public_room(user_id=stranger, name="friends")
    for name in ("friends", "nothing", "im possible", "a\x00"):
        with pytest.raises(NotAMember):
            membership.enter_group_room(user_id=stranger, name=name)


def test_each_kind_of_room_has_its_own_url() -> None:
    user = make_user()
    group = make_room(RoomKind.GROUP, name="friends", owner=[user.pk])
    make_room(name="sports", owner=[user.pk])
    assert membership.enter_group_room(user_id=user.pk, name="FRIENDS") == group
    with pytest.raises(Forbidden):
        membership.enter_public_room(user_id=user.pk, name="friends")
    with pytest.raises(NotAMember):
        membership.enter_group_room(user_id=user.pk, name="sports")


# Coming and going


def test_messages_before_joining_are_read() -> None:
    room, author, user = make_room(), make_sign_in(), make_user()
    say(author, room)
    membership.join_room(user_id=user.pk, room_id=room.pk)
    membership.join_room(user_id=user.pk, room_id=room.pk)
    member = Member.objects.get(room=room, user=user)
    assert member.last_read_seq == 1
    assert counts_right(room)


@pytest.mark.parametrize("kind", [RoomKind.GROUP, RoomKind.PRIVATE])
def test_room_of_others_looks_missing(kind: RoomKind) -> None:
    one, other = make_user(), make_user()
    private = make_private_room(one.pk, other)
    room = private if kind == RoomKind.PRIVATE else make_room(RoomKind.GROUP, owner=[one.pk])
    stranger = make_user().pk
    with pytest.raises(NoSuchRoom):
        membership.join_room(user_id=stranger, room_id=room.pk)
    with pytest.raises(NoSuchRoom):
        membership.leave_room(user_id=stranger, room_id=room.pk)
    with pytest.raises(NoSuchRoom):
        services.change_room(user_id=stranger, room_id=room.pk, title="x", topic=None)
    assert room not in rooms_seen_by(stranger)


@commits
def test_leaving_raises_access_epoch_and_is_published() -> None:
    user = make_user()
    room = make_room(member=[user.pk])
    with published() as events:
        membership.leave_room(user_id=user.pk, room_id=room.pk)
    assert events == [
        MemberLeft(room.pk, user.pk, access_epoch=1),
        MembershipsChanged(frozenset({user.pk})),
    ]
    assert role_of(user.pk, room) is None
    assert counts_right(room)


def test_non_member_cannot_leave_a_public_room() -> None:
    with pytest.raises(NotAMember):
        membership.leave_room(user_id=make_user().pk, room_id=make_room().pk)


def test_last_owner_of_a_group_must_hand_over_first() -> None:
    owner, friend = make_user(), make_user("friend")
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[friend.pk])
    with pytest.raises(LastOwner):
        membership.leave_room(user_id=owner.pk, room_id=room.pk)
    with pytest.raises(LastOwner):
        membership.change_role(
            user_id=owner.pk, room_id=room.pk, username=owner.username, role=Role.MEMBER
        )
    membership.change_role(user_id=owner.pk, room_id=room.pk, username="Friend", role=Role.OWNER)
    membership.leave_room(user_id=owner.pk, room_id=room.pk)
    assert role_of(friend.pk, room) == Role.OWNER


def test_last_owner_of_a_public_room_may_leave() -> None:
    owner = make_user()
    room = make_room(owner=[owner.pk])
    membership.leave_room(user_id=owner.pk, room_id=room.pk)
    assert role_of(owner.pk, room) is None


def test_private_room_cannot_be_left_or_managed() -> None:
    one, other = make_user(), make_user()
    room = make_private_room(one.pk, other)
    with pytest.raises(Forbidden):
        membership.leave_room(user_id=one.pk, room_id=room.pk)
    with pytest.raises(Forbidden):
        membership.remove_member(user_id=one.pk, room_id=room.pk, username=other.username)
    with pytest.raises(Forbidden):
        membership.add_members(user_id=one.pk, room_id=room.pk, people=[make_user().pk])
    with pytest.raises(Forbidden):
        services.delete_room(user_id=one.pk, room_id=room.pk)


# Removing


@commits
def test_removal_returns_the_last_version_visible_to_the_removed_member() -> None:
    owner, gone = make_user(), make_sign_in()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[gone.user_id])
    said = say(gone, room)
    with published() as events:
        version = membership.remove_member(
            user_id=owner.pk, room_id=room.pk, username=gone.username.upper()
        )
    assert version == said.version
    assert events == [
        MemberRemoved(room.pk, gone.user_id, access_epoch=1),
        MembershipsChanged(frozenset({gone.user_id})),
    ]
    assert counts_right(room)


def test_user_removed_from_a_public_room_stays_banned_until_added() -> None:
    owner, gone = make_user(), make_user()
    room = make_room(owner=[owner.pk], member=[gone.pk])
    membership.remove_member(user_id=owner.pk, room_id=room.pk, username=gone.username)
    with pytest.raises(Forbidden):
        membership.enter_public_room(user_id=gone.pk, name=room.name or "")
    with pytest.raises(Forbidden):
        membership.join_room(user_id=gone.pk, room_id=room.pk)
    with pytest.raises(Forbidden):
        history(selectors.room_access(gone.pk, room.pk), before=None, after=None, limit=50)
    membership.add_members(user_id=owner.pk, room_id=room.pk, people=[gone.pk])
    assert membership.enter_public_room(user_id=gone.pk, name=room.name or "") == room
    assert counts_right(room)


@commits
@pytest.mark.parametrize("has_been_there", [True, False])
def test_non_member_of_a_public_room_can_be_banned(has_been_there: bool) -> None:
    owner, gone = make_user(), make_sign_in()
    room = make_room(owner=[owner.pk])
    if has_been_there:
        say(gone, room)
        membership.leave_room(user_id=gone.user_id, room_id=room.pk)
    room.refresh_from_db()
    with published() as events:
        version = membership.remove_member(
            user_id=owner.pk, room_id=room.pk, username=gone.username.upper()
        )
    assert version == room.version
    assert events == [MemberRemoved(room.pk, gone.user_id, access_epoch=room.access_epoch + 1)]
    assert isinstance(store_now(draft(gone, room))[0], Forbidden)
    assert counts_right(room)
    # Repeated, as after a lost answer.
    membership.remove_member(user_id=owner.pk, room_id=room.pk, username=gone.username)
    membership.add_members(user_id=owner.pk, room_id=room.pk, people=[gone.user_id])
    assert say(gone, room).sender == gone.user_id


def test_admin_bans_non_members_but_not_oneself_or_unknown_users() -> None:
    owner, admin, stranger = make_user(), make_user(), make_user()
    left = make_user("left", is_active=False)
    room = make_room(owner=[owner.pk], admin=[admin.pk])

    def ban(username: str, by: User = admin) -> int:
        return membership.remove_member(user_id=by.pk, room_id=room.pk, username=username)

    for unknown in ("unknown", left.username):
        with pytest.raises(NoSuchMember):
            ban(unknown)
    with pytest.raises(Forbidden):
        ban(owner.username, by=stranger)
    staff = make_user(is_staff=True)
    with pytest.raises(Forbidden):
        ban(staff.username, by=staff)
    ban(stranger.username)
    assert [one.user for one in Ban.objects.all()] == [stranger]


def test_user_removed_from_a_group_can_be_added_again() -> None:
    owner, gone = make_user(), make_user()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[gone.pk])
    membership.remove_member(user_id=owner.pk, room_id=room.pk, username=gone.username)
    with pytest.raises(NotAMember):
        membership.enter_group_room(user_id=gone.pk, name=room.name or "")
    assert not Ban.objects.exists()
    _, added, everyone = membership.add_members(
        user_id=owner.pk, room_id=room.pk, people=[gone.username, owner.pk]
    )
    assert added == [gone.username]
    assert everyone == [owner.username, gone.username]


@pytest.mark.parametrize(
    ("by", "whom", "allowed"),
    [
        ("owner", "owner", True),
        ("owner", "admin", True),
        ("admin", "member", True),
        ("admin", "admin", False),
        ("admin", "owner", False),
        ("member", "member", False),
    ],
)
def test_role_removes_only_lower_roles(by: str, whom: str, allowed: bool) -> None:
    actor, target, owner = make_user(), make_user(), make_user()
    room = make_room(RoomKind.GROUP, owner=[owner.pk])
    make_member(room, actor.pk, Role(by))
    make_member(room, target.pk, Role(whom))
    try:
        membership.remove_member(user_id=actor.pk, room_id=room.pk, username=target.username)
    except Forbidden:
        assert not allowed
    assert (role_of(target.pk, room) is None) == allowed


def test_removing_oneself_or_a_non_member_is_refused() -> None:
    owner = make_user()
    room = make_room(RoomKind.GROUP, owner=[owner.pk])
    with pytest.raises(Forbidden):
        membership.remove_member(user_id=owner.pk, room_id=room.pk, username=owner.username)
    with pytest.raises(NoSuchMember):
        membership.remove_member(user_id=owner.pk, room_id=room.pk, username=make_user().username)


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
    with published() as events:
        services.change_room(user_id=owner.pk, room_id=room.pk, title="Sports", topic=None)
    (event,) = events
    assert isinstance(event, RoomChanged)
    assert (event.room.title, event.room.topic, event.room.version) == ("Sports", "All of them", 0)


@commits
def test_deleted_room_is_gone_for_all_users() -> None:
    owner, friend = make_user(), make_user()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[friend.pk])
    with published() as events:
        services.delete_room(user_id=owner.pk, room_id=room.pk)
    assert events == [RoomDeleted(room.pk)]
    for user in (owner, friend):
        assert room not in rooms_seen_by(user.pk)
        with pytest.raises(NoSuchRoom):
            selectors.room_access(user.pk, room.pk)
        with pytest.raises(NotAMember):
            membership.enter_group_room(user_id=user.pk, name=room.name or "")


@commits
def test_rolled_back_changes_are_not_published() -> None:
    owner = make_user()
    room = make_room(owner=[owner.pk])
    with published() as events, transaction.atomic():
        services.delete_room(user_id=owner.pk, room_id=room.pk)
        transaction.set_rollback(True)
    assert events == []
    assert room in rooms_seen_by(owner.pk)
