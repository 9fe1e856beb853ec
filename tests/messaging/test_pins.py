"""Pins are stored changes of a message, by owners and admins."""

import pytest

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from messaging import deletion, pins
from messaging.changes_since import changes_since
from messaging.errors import MessageDeleted, NoSuchMessage, TooManyPins
from messaging.events import MessageState, PinChanged
from messaging.models import ChangeKind, Message
from messaging.selectors import history, pinned_messages
from rooms.errors import NoSuchRoom
from rooms.models import Member, Role, Room
from rooms.selectors import room_access
from tests.factories import (
    collect_events,
    commits,
    draft,
    make_caller,
    make_private_room,
    make_room,
    make_user,
    store_message,
    store_now,
)

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


def pin(caller: Caller, message: MessageState) -> MessageState:
    return pins.pin_message(caller=caller, room_id=message.room_id, message_id=message.id)


def unpin(caller: Caller, message: MessageState) -> MessageState:
    return pins.unpin_message(caller=caller, room_id=message.room_id, message_id=message.id)


def pinned(caller: Caller, room: Room) -> list[str]:
    access = room_access(caller.user_id, room.pk)
    return [one["content"] for one in pinned_messages(access, cursor=None, limit=200).messages]


def test_a_pin_is_a_change_with_a_version(ila: Caller, room: Room) -> None:
    message = store_message(ila, room)
    with collect_events() as events:
        state = pin(ila, message)
        assert (state.pinned, state.version) == (True, 2)
        assert pin(ila, message) == state
    assert events == [PinChanged(state)]
    room.refresh_from_db()
    assert room.version == 2
    (change,) = changes_since(room, 1, limit=9)
    assert (change.kind_since(1), change.message.pinned) == (ChangeKind.PIN, True)
    (shown,) = history(room_access(ila.user_id, room.pk), before=None, after=None, limit=1).messages
    assert shown["pinned"]
    assert unpin(ila, message).version == 3
    assert unpin(ila, message).version == 3
    assert not Message.objects.get().pinned_version


def test_pins_are_listed_newest_pin_first(ila: Caller, friend: Caller, room: Room) -> None:
    sent = [store_message(ila, room, str(number)) for number in range(4)]
    for number in (2, 0, 3):
        pin(ila, sent[number])
    assert pinned(friend, room) == ["3", "0", "2"]
    access = room_access(ila.user_id, room.pk)
    first = pinned_messages(access, cursor=None, limit=2)
    assert [one["content"] for one in first.messages] == ["3", "0"]
    rest = pinned_messages(access, cursor=first.links["next"]["cursor"], limit=2)
    assert [one["content"] for one in rest.messages] == ["2"]
    assert not rest.links
    deletion.delete_message(caller=ila, room_id=room.pk, message_id=sent[0].id)
    assert pinned(friend, room) == ["3", "2"]
    with pytest.raises(MessageDeleted):
        pin(ila, sent[0])


def test_a_room_has_a_hundred_pins(
    ila: Caller, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pins.MAX_PINS == 100
    monkeypatch.setattr(pins, "MAX_PINS", 2)
    store_now(*(draft(ila, room) for _ in range(3)))
    messages = list(Message.objects.order_by("pk"))
    states = [
        pins.pin_message(caller=ila, room_id=room.pk, message_id=one.pk) for one in messages[:2]
    ]
    with pytest.raises(TooManyPins):
        pins.pin_message(caller=ila, room_id=room.pk, message_id=messages[2].pk)
    assert pin(ila, states[0]).pinned
    unpin(ila, states[0])
    pins.pin_message(caller=ila, room_id=room.pk, message_id=messages[2].pk)


def test_owners_and_admins_pin_and_both_users_of_a_private_room(
    ila: Caller, friend: Caller, room: Room
) -> None:
    message = store_message(friend, room)
    for change in (pin, unpin):
        with pytest.raises(Forbidden):
            change(friend, message)
        with pytest.raises(NoSuchRoom):
            change(make_caller(), message)
    Member.objects.filter(room=room, user_id=friend.user_id).update(role=Role.ADMIN)
    assert pin(friend, message).pinned

    kaushal = make_caller(make_user("kaushal"))
    private = make_private_room(ila.user_id, make_user("other"))
    in_private = store_message(ila, private)
    with pytest.raises(NoSuchRoom):
        pin(kaushal, in_private)
    assert pin(ila, in_private).pinned

    public = make_room(owner=[ila.user_id])
    in_public = store_message(ila, public)
    with pytest.raises(Forbidden):
        pin(kaushal, in_public)
    assert pin(make_caller(make_user("staff", is_staff=True)), in_public).pinned
    with pytest.raises(NoSuchMessage):
        pins.pin_message(caller=ila, room_id=room.pk, message_id=in_public.id)
