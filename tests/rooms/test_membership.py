"""Members: joining, leaving, removing and roles."""

import pytest

from accounts.kernel.errors import Forbidden
from accounts.models import User
from messaging.selectors import history
from rooms import connecting, membership, selectors, services
from rooms.errors import LastOwner, NoSuchMember, NoSuchRoom, NotAMember
from rooms.events import MemberLeft, MemberRemoved, MembershipsChanged
from rooms.models import Ban, Member, Role, Room, RoomKind
from tests.factories import (
    collect_events,
    commits,
    draft,
    make_caller,
    make_member,
    make_private_room,
    make_room,
    make_user,
    store_message,
    store_now,
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


# Coming and going


def test_messages_before_joining_are_read() -> None:
    room, author, user = make_room(), make_caller(), make_user()
    store_message(author, room)
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
    with collect_events() as events:
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
    owner, gone = make_user(), make_caller()
    room = make_room(RoomKind.GROUP, owner=[owner.pk], member=[gone.user_id])
    sent = store_message(gone, room)
    with collect_events() as events:
        version = membership.remove_member(
            user_id=owner.pk, room_id=room.pk, username=gone.username.upper()
        )
    assert version == sent.version
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
        connecting.enter_public_room(user_id=gone.pk, name=room.name or "")
    with pytest.raises(Forbidden):
        membership.join_room(user_id=gone.pk, room_id=room.pk)
    with pytest.raises(Forbidden):
        history(selectors.room_access(gone.pk, room.pk), before=None, after=None, limit=50)
    membership.add_members(user_id=owner.pk, room_id=room.pk, people=[gone.pk])
    assert connecting.enter_public_room(user_id=gone.pk, name=room.name or "") == room
    assert counts_right(room)


@commits
@pytest.mark.parametrize("has_been_there", [True, False])
def test_non_member_of_a_public_room_can_be_banned(has_been_there: bool) -> None:
    owner, gone = make_user(), make_caller()
    room = make_room(owner=[owner.pk])
    if has_been_there:
        store_message(gone, room)
        membership.leave_room(user_id=gone.user_id, room_id=room.pk)
    room.refresh_from_db()
    with collect_events() as events:
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
    assert store_message(gone, room).sender == gone.user_id


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
        connecting.enter_group_room(user_id=gone.pk, name=room.name or "")
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
