"""Edits: only the author's, and the place in the room stays."""

import pytest

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from messaging import editing
from messaging.errors import MessageDeleted, NoSuchMessage
from messaging.schemas import MessageOut
from rooms.errors import NoSuchRoom
from rooms.membership import remove_member
from rooms.models import Room, RoomKind
from tests.factories import make_room, store_message
from tests.messaging.service_calls import delete, edit, history_of, react

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


def test_edit_keeps_seq_and_timestamp_and_sets_edited_at(ila: Caller, room: Room) -> None:
    message = store_message(ila, room, "Hey")
    edited = edit(ila, message, " Hey you ")
    assert (edited.content, edited.seq, edited.timestamp) == ("Hey you", 1, message.timestamp)
    assert edited.edited_at is not None
    shown = MessageOut.model_validate(edited).model_dump()
    assert shown == vars(history_of(room, ila)[0])


def test_only_the_author_edits_a_message(ila: Caller, friend: Caller, room: Room) -> None:
    with pytest.raises(Forbidden):
        edit(ila, store_message(friend, room), "mine now")


def test_deleted_message_cannot_be_edited_or_reacted_to(ila: Caller, room: Room) -> None:
    message = store_message(ila, room)
    delete(ila, message)
    with pytest.raises(MessageDeleted):
        edit(ila, message, "again")
    with pytest.raises(MessageDeleted):
        react(ila, message)


def test_edit_permission_is_checked_before_state(ila: Caller, friend: Caller, room: Room) -> None:
    message = store_message(ila, room)
    delete(ila, message)
    with pytest.raises(Forbidden):
        edit(friend, message, "again")


def test_message_is_found_only_in_its_own_room(ila: Caller, room: Room) -> None:
    message = store_message(ila, room)
    elsewhere = make_room(owner=[ila.user_id])
    with pytest.raises(NoSuchMessage):
        editing.edit_message(caller=ila, room_id=elsewhere.pk, message_id=message.id, content="x")


def test_removed_member_cannot_change_messages(ila: Caller, friend: Caller) -> None:
    group = make_room(RoomKind.GROUP, owner=[ila.user_id], member=[friend.user_id])
    public = make_room(owner=[ila.user_id], member=[friend.user_id])
    for where, refusal in ((group, NoSuchRoom), (public, Forbidden)):
        message = store_message(friend, where)
        remove_member(user_id=ila.user_id, room_id=where.pk, username="friend")
        with pytest.raises(refusal):
            edit(friend, message, "x")
        with pytest.raises(refusal):
            delete(friend, message)
        with pytest.raises(refusal):
            react(friend, message)
