"""Every change of a membership raises the user's counter, in its transaction."""

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from rooms import (
    followed_rooms,
    membership,
    membership_counters,
    services,
    shared_presence,
)
from rooms.events import MembershipsChanged
from rooms.models import Member, MembershipCounter, Room, RoomKind
from rooms.notifications import change_notifications
from tests.factories import (
    collect_events,
    commits,
    make_caller,
    make_private_room,
    make_room,
    make_user,
    store_message,
)

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


def counter_of(user: User) -> int:
    changed = membership_counters.changed_membership_counters({user.pk: -1})
    return changed[user.pk]


@pytest.fixture
def owner() -> User:
    return make_user()


@pytest.fixture
def friend() -> User:
    return make_user()


@pytest.fixture
def group(owner: User) -> Room:
    return make_room(RoomKind.GROUP, owner=[owner.pk])


def test_user_without_memberships_has_the_counter_zero(owner: User) -> None:
    assert membership_counters.changed_membership_counters({owner.pk: 0}) == {}
    assert counter_of(owner) == 0


def test_joining_leaving_and_muting_each_count_once(owner: User) -> None:
    room = make_room(RoomKind.PUBLIC)
    membership.join_room(user_id=owner.pk, room_id=room.pk)
    membership.join_room(user_id=owner.pk, room_id=room.pk)
    assert counter_of(owner) == 1
    change_notifications(user_id=owner.pk, room_id=room.pk, muted=True)
    change_notifications(user_id=owner.pk, room_id=room.pk, muted=True)
    assert counter_of(owner) == 2
    assert Member.objects.get(room=room, user=owner).muted
    membership.leave_room(user_id=owner.pk, room_id=room.pk)
    assert counter_of(owner) == 3


def test_adding_and_removing_count_for_the_user_concerned(
    owner: User, friend: User, group: Room
) -> None:
    membership.add_members(user_id=owner.pk, room_id=group.pk, people=[friend.pk])
    membership.add_members(user_id=owner.pk, room_id=group.pk, people=[friend.pk])
    assert (counter_of(owner), counter_of(friend)) == (0, 1)
    membership.remove_member(user_id=owner.pk, room_id=group.pk, username=friend.username)
    assert (counter_of(owner), counter_of(friend)) == (0, 2)


def test_ban_of_a_user_who_is_no_member_counts_nothing(owner: User, friend: User) -> None:
    room = make_room(RoomKind.PUBLIC, owner=[owner.pk])
    membership.remove_member(user_id=owner.pk, room_id=room.pk, username=friend.username)
    assert counter_of(friend) == 0


def test_creating_and_deleting_a_room_count_for_all_members(owner: User, friend: User) -> None:
    room = services.create_room(
        user_id=owner.pk, name="counted", kind=RoomKind.GROUP, members=[friend.pk]
    )
    assert (counter_of(owner), counter_of(friend)) == (1, 1)
    services.delete_room(user_id=owner.pk, room_id=room.pk)
    assert (counter_of(owner), counter_of(friend)) == (2, 2)


def test_private_room_counts_for_both_users(owner: User, friend: User) -> None:
    make_private_room(owner.pk, friend)
    make_private_room(friend.pk, owner)
    assert (counter_of(owner), counter_of(friend)) == (1, 1)


def test_joining_by_sending_counts_once(owner: User) -> None:
    caller, room = make_caller(owner), make_room(RoomKind.PUBLIC)
    with collect_events() as events:
        store_message(caller, room)
        store_message(caller, room)
    assert counter_of(owner) == 1
    changed = [event for event in events if isinstance(event, MembershipsChanged)]
    assert changed == [MembershipsChanged(frozenset({owner.pk}))]


def test_counter_of_an_aborted_transaction_stays(owner: User) -> None:
    def fail() -> None:
        with transaction.atomic():
            membership_counters.raise_counters([owner.pk])
            raise ZeroDivisionError

    with collect_events() as events, pytest.raises(ZeroDivisionError):
        fail()
    assert counter_of(owner) == 0
    assert events == []


def test_changed_counters_are_those_that_differ(owner: User, friend: User) -> None:
    with transaction.atomic():
        membership_counters.raise_counters([owner.pk, friend.pk])
        membership_counters.raise_counters([friend.pk])
    known = {owner.pk: 1, friend.pk: 1}
    assert membership_counters.changed_membership_counters(known) == {friend.pk: 2}
    assert membership_counters.changed_membership_counters({}) == {}
    MembershipCounter.objects.all().delete()
    assert membership_counters.changed_membership_counters(known) == {owner.pk: 0, friend.pk: 0}


# Reads for the socket that follows all rooms


def test_rooms_with_the_latest_activity_are_followed_up_to_the_limit(owner: User) -> None:
    caller = make_caller(owner)
    quiet, busy, muted = (make_room(RoomKind.GROUP, owner=[owner.pk]) for _ in range(3))
    store_message(caller, busy)
    change_notifications(user_id=owner.pk, room_id=muted.pk, muted=True)
    found = followed_rooms.memberships(owner.pk, limit=1)
    assert [room.pk for room in found.rooms] == [busy.pk]
    assert (found.counter, set(found.others)) == (1, {quiet.pk, muted.pk})
    assert set(found.muted) == {muted.pk}
    (row, *_) = found.rooms
    assert (row.version, row.last_seq, row.last_read_seq, row.unread) == (1, 1, 1, 0)
    assert len(followed_rooms.memberships(owner.pk, limit=None).rooms) == 3


def test_memberships_of_others_and_deleted_rooms_are_not_read(
    owner: User, friend: User, group: Room
) -> None:
    gone = make_room(RoomKind.GROUP, owner=[owner.pk])
    services.delete_room(user_id=owner.pk, room_id=gone.pk)
    assert followed_rooms.memberships(friend.pk, limit=10).rooms == []
    assert followed_rooms.current_memberships([owner.pk, friend.pk]) == {
        owner.pk: {group.pk: False},
        friend.pk: {},
    }
    pairs = [(owner.pk, group.pk), (friend.pk, group.pk), (owner.pk, gone.pk)]
    assert followed_rooms.followed_rooms(pairs) == {
        (owner.pk, group.pk): (group.pk, 0, 0, 0, 0, False)
    }


def test_large_rooms_share_no_presence(
    owner: User, friend: User, group: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = make_room(RoomKind.PUBLIC, owner=[owner.pk], member=[friend.pk])
    monkeypatch.setattr(shared_presence, "MAX_SHARED_MEMBERS", 1)
    assert shared_presence.shared_rooms([owner.pk, friend.pk]) == {
        owner.pk: [group.pk],
        friend.pk: [],
    }
    assert public.member_count == 2


def test_removal_has_a_reason(owner: User, friend: User, group: Room) -> None:
    banned, left = (make_room(RoomKind.PUBLIC, owner=[owner.pk]) for _ in range(2))
    membership.remove_member(user_id=owner.pk, room_id=banned.pk, username=friend.username)
    gone = make_room(RoomKind.GROUP, owner=[owner.pk])
    services.delete_room(user_id=owner.pk, room_id=gone.pk)
    own, foreign = (make_private_room(owner.pk, other) for other in (friend, make_user()))
    Room.objects.filter(pk__in=[own.pk, foreign.pk]).update(deleted_at=timezone.now())
    ids = [group.pk, banned.pk, left.pk, gone.pk, own.pk, foreign.pk, 10**9]
    reasons = {
        group.pk: "removed",
        banned.pk: "removed",
        left.pk: "left",
        gone.pk: "deleted",
        own.pk: "deleted",
        foreign.pk: "removed",
        10**9: "removed",
    }
    assert followed_rooms.removal_reasons(friend.pk, ids, were_readable=True) == reasons
    # To others a deleted group looks like one that never was.
    guessed = followed_rooms.removal_reasons(friend.pk, ids, were_readable=False)
    assert guessed == reasons | {gone.pk: "removed"}


def test_private_room_is_found_by_its_other_user(owner: User, friend: User) -> None:
    assert followed_rooms.private_room_id(owner.pk, friend.pk) is None
    room = make_private_room(owner.pk, friend)
    assert followed_rooms.private_room_id(friend.pk, owner.pk) == room.pk
