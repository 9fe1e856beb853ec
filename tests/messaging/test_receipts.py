"""Delivered and read markers, and who may see them (contract §6)."""

import pytest
from pytest_django import Settings

from accounts.auth import Caller, user_of
from accounts.events import ReceiptsSharingChanged
from accounts.kernel.errors import Forbidden
from accounts.services import share_receipts
from messaging import services
from messaging.events import DeliveredAdvanced, ReadAdvanced
from messaging.writer.read_markers import DeliveredMarker, MarkDelivered, MarkRead
from rooms import membership
from rooms.errors import NoSuchRoom, NotAMember, RoomTooLarge
from rooms.models import Member, Room
from rooms.receipt_list import receipts_in
from rooms.selectors import room_access
from tests.factories import (
    collect_events,
    commits,
    draft,
    make_caller,
    make_room,
    store_message,
    store_now,
)

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


@pytest.fixture
def room(ila: Caller, friend: Caller, room: Room) -> Room:
    """The room after three messages of ila."""
    store_now(*(draft(ila, room) for _ in range(3)))
    return room


def deliver(caller: Caller, room: Room, seq: int) -> int:
    return services.mark_delivered(caller=caller, room_id=room.pk, seq=seq).seq


def receipts(caller: Caller, room: Room) -> dict[str, tuple[int, int]]:
    return {
        one["username"]: (one["read_seq"], one["delivered_seq"])
        for one in receipts_in(room_access(caller.user_id, room.pk))
    }


def test_delivered_marker_rises_up_to_the_last_message(friend: Caller, room: Room) -> None:
    with collect_events() as events:
        assert [deliver(friend, room, seq) for seq in (1, 0, 2, 99, 1)] == [1, 1, 2, 3, 3]
    assert [event.seq for event in events if isinstance(event, DeliveredAdvanced)] == [1, 2, 3]
    member = Member.objects.get(user_id=friend.user_id)
    assert (member.delivered_seq, member.last_read_seq) == (3, 0)


def test_reading_and_sending_imply_delivered(ila: Caller, friend: Caller, room: Room) -> None:
    assert receipts(ila, room) == {"ila": (3, 3), "friend": (0, 0)}
    deliver(friend, room, 2)
    assert receipts(friend, room)["friend"] == (0, 2)
    services.mark_read(caller=friend, room_id=room.pk, seq=3)
    assert receipts(ila, room)["friend"] == (3, 3)
    with collect_events() as events:
        assert deliver(friend, room, 1) == 3
    assert events == []


def test_a_batch_moves_both_markers(ila: Caller, friend: Caller, room: Room) -> None:
    outcomes = store_now(
        draft(ila, room),
        MarkDelivered(friend.user_id, "friend", room.pk, 4),
        MarkRead(friend.user_id, "friend", room.pk, 2),
        MarkDelivered(friend.user_id, "friend", room.pk, 3),
    )
    assert outcomes[1] == DeliveredMarker(4, moved=True, shared=True)
    assert outcomes[3] == DeliveredMarker(4, moved=False, shared=True)
    assert receipts(ila, room)["friend"] == (2, 4)


def test_users_who_do_not_share_neither_show_nor_see(
    ila: Caller, friend: Caller, room: Room
) -> None:
    with collect_events() as events:
        share_receipts(user=user_of(friend), shares=False)
        deliver(friend, room, 1)
        services.mark_read(caller=friend, room_id=room.pk, seq=2)
    assert events == [
        ReceiptsSharingChanged(friend.user_id, shares=False),
        ReadAdvanced(room.pk, friend.user_id, "friend", 2, shared=False),
    ]
    assert receipts(ila, room) == {"ila": (3, 3)}
    assert receipts(friend, room) == {}
    share_receipts(user=user_of(friend), shares=True)
    assert receipts(friend, room) == {"ila": (3, 3), "friend": (2, 2)}


def test_large_rooms_have_no_receipts(
    ila: Caller, friend: Caller, room: Room, settings: Settings
) -> None:
    settings.CHAT_RECEIPTS_MAX_MEMBERS = 1
    with pytest.raises(RoomTooLarge):
        receipts(ila, room)
    with collect_events() as events:
        assert deliver(friend, room, 1) == 1
    assert events == []
    settings.CHAT_RECEIPTS_MAX_MEMBERS = None
    assert receipts(ila, room)["friend"] == (0, 1)


def test_only_members_have_receipts(ila: Caller, friend: Caller, room: Room) -> None:
    stranger = make_caller()
    for call in (lambda: deliver(stranger, room, 1), lambda: receipts(stranger, room)):
        with pytest.raises(NoSuchRoom):
            call()
    public = make_room(owner=[ila.user_id], member=[friend.user_id])
    store_message(ila, public)
    for call in (lambda: deliver(stranger, public, 1), lambda: receipts(stranger, public)):
        with pytest.raises(NotAMember):
            call()
    membership.remove_member(user_id=ila.user_id, room_id=public.pk, username="friend")
    for call in (lambda: deliver(friend, public, 1), lambda: receipts(friend, public)):
        with pytest.raises(Forbidden):
            call()
