"""Rows that skip Ninja's validation have exactly the declared members."""

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from accounts.auth import Caller
from accounts.kernel.json_answers import encode_json
from messaging import deletion, editing, reactions
from messaging.models import Message
from messaging.my_rooms import added_rooms, my_rooms
from messaging.schemas import MessageOut, MyRoomOut
from messaging.selectors import feed, history
from rooms.models import Member, Room, RoomKind
from rooms.selectors import room_access, room_access_by_name
from tests.factories import (
    commits,
    make_caller,
    make_private_room,
    make_room,
    make_user,
    store_message,
)

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


def as_declared(shape: type[BaseModel], rows: list[dict[str, Any]]) -> Any:
    """The same rows as Ninja would make them from the declared shape."""
    adapter = TypeAdapter(list[shape])  # type: ignore[valid-type]
    given = [row | {"created_by_id": row["created_by"]} if "kind" in row else row for row in rows]
    return adapter.dump_python(adapter.validate_python(given, strict=False))


@pytest.fixture
def ila() -> Caller:
    return make_caller(make_user("ila"))


@pytest.fixture
def rooms(ila: Caller) -> list[Room]:
    return [
        make_room(owner=[ila.user_id], name="Ila's"),
        make_room(RoomKind.GROUP, owner=[ila.user_id]),
        make_private_room(ila.user_id, make_user("kaushal")),
    ]


def test_messages_have_the_declared_shape(ila: Caller, rooms: list[Room]) -> None:
    for room in rooms:
        first = store_message(ila, room, "\N{GRINNING FACE} first", client_id="one")
        store_message(ila, room, "a reply", reply_to=first.id)
        deleted = store_message(ila, room)
        editing.edit_message(caller=ila, room_id=room.pk, message_id=first.id, content="edited")
        reactions.add_reaction(caller=ila, room_id=room.pk, message_id=first.id, emoji="👍")
        deletion.delete_message(caller=ila, room_id=room.pk, message_id=deleted.id)
        access = room_access(ila.user_id, room.pk)
        page = history(access, before=None, after=None, limit=50).messages
        assert len(page) == 3
        assert as_declared(MessageOut, page) == page
        assert [list(message) == list(MessageOut.model_fields) for message in page]
        (stored,) = Message.objects.filter(pk=first.id)
        assert page[0]["timestamp"] == stored.created_at.isoformat("T", "milliseconds")[:-6] + "Z"
        assert page[0]["edited_at"]
        assert page[0]["reactions"] == [{"emoji": "👍", "count": 1, "users": [ila.user_id]}]
    everything = feed(ila.user_id, before=None, limit=50).messages
    assert len(everything) == 9
    assert as_declared(MessageOut, everything) == everything


def test_my_rooms_have_the_declared_shape(ila: Caller, rooms: list[Room]) -> None:
    for room in rooms[1:]:
        store_message(ila, room)
    Member.objects.filter(room=rooms[1]).update(muted=True, last_read_seq=0)
    page = my_rooms(ila.user_id, cursor=None, limit=50)
    assert [room["id"] for room in page] == [rooms[2].pk, rooms[1].pk, rooms[0].pk]
    private, group, public = page
    assert private["members"] == ["ila", "kaushal"]
    assert (group["muted"], group["unread"], group["role"]) == (True, 1, "owner")
    assert public["last_message"] is None
    assert as_declared(MyRoomOut, page) == page


def test_access_to_a_room_is_the_same_with_its_lock(ila: Caller, rooms: list[Room]) -> None:
    from django.db import transaction

    stranger = make_caller()
    for caller, room in ((ila, rooms[0]), (ila, rooms[1]), (ila, rooms[2]), (stranger, rooms[0])):
        read = room_access(caller.user_id, room.pk)
        with transaction.atomic():
            locked = room_access(caller.user_id, room.pk, lock=True)
        for field in Room._meta.concrete_fields:
            assert getattr(read.room, field.attname) == getattr(locked.room, field.attname)
        assert read.room.pair_names == locked.room.pair_names
        assert read.banned == locked.banned
        if locked.member is None:
            assert read.member is None
        else:
            assert read.member is not None
            for field in Member._meta.concrete_fields:
                assert getattr(read.member, field.attname) == getattr(locked.member, field.attname)
        if room.name is not None:
            assert room_access_by_name(caller.user_id, room.name.upper()).room.pk == room.pk


def test_what_utf_8_cannot_hold_is_escaped() -> None:
    assert encode_json({"a": "\ud800 \N{GRINNING FACE}"}) == '{"a": "\\ud800 😀"}'.encode()
    assert encode_json({"a": "\N{GRINNING FACE}"}) == '{"a":"😀"}'.encode()


def test_added_rooms_have_the_shape_of_my_rooms(ila: Caller, rooms: list[Room]) -> None:
    stranger = make_user()
    for room in rooms[1:]:
        store_message(ila, room)
    pairs = [(ila.user_id, room.pk) for room in rooms] + [(stranger.pk, rooms[1].pk)]
    added = added_rooms(pairs)
    page = my_rooms(ila.user_id, cursor=None, limit=50)
    assert [added[ila.user_id, room["id"]].shown for room in page] == page
    assert added.keys() == {(ila.user_id, room.pk) for room in rooms}
    private = added[ila.user_id, rooms[2].pk].followed
    assert private == (rooms[2].pk, 1, 0, 1, 1, False)
