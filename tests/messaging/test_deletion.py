"""Deletions: who may delete, and the tombstone that stays."""

import pytest

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from messaging.models import Message, Reaction
from rooms.models import Member, Room, RoomKind
from tests.factories import make_caller, make_member, make_room, make_user, store_message
from tests.messaging.service_calls import delete, history_of, react

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def test_tombstone_keeps_only_its_place(ila: Caller, room: Room) -> None:
    quoted = store_message(ila, room)
    message = store_message(ila, room, "secret", reply_to=quoted.id, client_id="one")
    react(ila, message)
    delete(ila, message)
    tombstone = history_of(room, ila)[1]
    assert (tombstone.seq, tombstone.deleted, tombstone.content) == (2, True, "")
    assert (tombstone.reply_to, tombstone.reactions) == (None, [])
    assert not Reaction.objects.exists()


@pytest.mark.parametrize(("role", "allowed"), [("owner", True), ("admin", True), ("member", False)])
def test_owners_and_admins_delete_messages_of_others(role: str, allowed: bool) -> None:
    author, caller = make_caller(), make_caller()
    room = make_room(RoomKind.GROUP, owner=[author.user_id])
    make_member(room, caller.user_id)
    Member.objects.filter(user_id=caller.user_id).update(role=role)
    message = store_message(author, room)
    try:
        delete(caller, message)
    except Forbidden:
        assert not allowed
    assert Message.objects.get().deleted == allowed


def test_staff_delete_only_messages_of_public_rooms(ila: Caller) -> None:
    staff = make_caller(make_user(is_staff=True))
    group = make_room(RoomKind.GROUP, owner=[ila.user_id], member=[staff.user_id])
    delete(staff, store_message(ila, make_room()))
    with pytest.raises(Forbidden):
        delete(staff, store_message(ila, group))
    assert list(Message.objects.values_list("deleted", flat=True).order_by("pk")) == [True, False]
