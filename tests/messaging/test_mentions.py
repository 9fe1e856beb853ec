"""Mentions are resolved when a text is stored, and unread ones are counted."""

from typing import Any

import pytest
from django.db import connection

from accounts.auth import Caller
from messaging import deletion, editing, services
from messaging.changes_since import changes_since
from messaging.mentions import MAX_MENTIONS, names_in
from messaging.models import Mention, Message
from messaging.my_rooms import my_rooms
from messaging.selectors import history
from rooms.models import Room, RoomKind
from rooms.selectors import room_access
from tests.factories import (
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

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


def unread_mentions(caller: Caller, room: Room) -> int:
    (count,) = (
        one["mentions"]
        for one in my_rooms(caller.user_id, cursor=None, limit=200)
        if one["id"] == room.pk
    )
    return int(count)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hi @ila!", [["ila"]]),
        ("(@ILA), @ila: @İla", [["ila"], ["i̇la"]]),
        ("@ila. or @ila.b", [["ila.", "ila"], ["ila.b"]]),
        ("mail ila@example.com", []),
        ("@@ila", []),
        ("@ @- @…", []),
        ("@日本語", [["日本語"]]),
        ("@ila" + "." * 9, [["ila" + "." * n for n in (9, 8, 7, 6, 0)]]),
        ("@" + "x" * 64 + ".", [["x" * 64]]),
        ("@" + "x" * 100, []),
        ("@all and @ila", [["ila"]]),
    ],
)
def test_names_follow_an_at_sign(text: str, names: list[list[str]]) -> None:
    assert names_in(text).readings == names
    assert names_in(text).has_all == ("@all" in text)


def test_only_members_are_mentioned(ila: Caller, friend: Caller, room: Room) -> None:
    make_user("stranger")
    message = store_message(ila, room, "@friend @stranger @nobody @FRIEND. @ila")
    assert message.mentions == [friend.user_id, ila.user_id]
    assert not message.mentions_all
    assert store_message(ila, room, "friend").mentions == []


def test_a_message_mentions_at_most_fifty(ila: Caller, room: Room) -> None:
    names = [f"user{number}" for number in range(60)]
    for name in names:
        make_member(room, make_user(name).pk)
    message = store_message(ila, room, " ".join(f"@{name}" for name in names))
    assert len(message.mentions) == MAX_MENTIONS


def test_everyone_is_mentioned_by_owners_and_admins_of_shared_rooms(
    ila: Caller, friend: Caller, room: Room
) -> None:
    assert store_message(ila, room, "@all hear").mentions_all
    assert store_message(ila, room, "@All!").mentions_all
    assert not store_message(friend, room, "@all hear").mentions_all
    public = make_room(admin=[friend.user_id])
    assert store_message(friend, public, "@all").mentions_all
    assert not store_message(make_caller(), public, "@all").mentions_all
    private = make_private_room(ila.user_id, make_user("kaushal"))
    assert not store_message(ila, private, "@all").mentions_all


def test_unread_mentions_are_counted_up_to_what_was_read(
    ila: Caller, friend: Caller, room: Room
) -> None:
    texts = ("@friend", "plain", "@friend @all", "@all", "@ila @friend")
    sent = [store_message(ila, room, text) for text in texts]
    assert unread_mentions(friend, room) == 4
    assert unread_mentions(ila, room) == 0
    services.mark_read(caller=friend, room_id=room.pk, seq=sent[2].seq)
    assert unread_mentions(friend, room) == 2
    late = make_caller(make_user("late"))
    make_member(room, late.user_id)
    Room.objects.filter(pk=room.pk).update(member_count=3)
    services.mark_read(caller=friend, room_id=room.pk, seq=sent[4].seq)
    assert unread_mentions(friend, room) == 0


def test_edits_and_deletions_resolve_again(ila: Caller, friend: Caller, room: Room) -> None:
    message = store_message(ila, room, "@friend")
    change: Any = {"caller": ila, "room_id": room.pk, "message_id": message.id}
    assert editing.edit_message(**change, content="@ila").mentions == [ila.user_id]
    assert unread_mentions(friend, room) == 0
    assert editing.edit_message(**change, content="@friend @all").mentions_all
    assert unread_mentions(friend, room) == 1
    editing.edit_message(**change, content="@friend again")
    assert unread_mentions(friend, room) == 1
    deletion.delete_message(**change)
    assert unread_mentions(friend, room) == 0
    assert not Mention.objects.exists()
    assert (Message.objects.get().mentions, Message.objects.get().mentions_all) == ([], False)


def test_mentions_are_in_history_and_replay(ila: Caller, friend: Caller, room: Room) -> None:
    store_message(ila, room, "@friend @all")
    room.refresh_from_db()
    access = room_access(friend.user_id, room.pk)
    (shown,) = history(access, before=None, after=None, limit=1).messages
    (change,) = changes_since(room, 0, limit=1)
    assert shown["mentions"] == change.message.mentions == [friend.user_id]
    assert shown["mentions_all"] is change.message.mentions_all is True


def test_a_batch_resolves_texts_of_several_rooms(ila: Caller, friend: Caller, room: Room) -> None:
    other = make_room(RoomKind.GROUP, owner=[ila.user_id])
    store_now(
        draft(ila, room, "@friend"),
        draft(ila, other, "@friend"),
        draft(ila, other, "plain"),
        draft(friend, room, "@ila @all"),
    )
    stored = Message.objects.order_by("pk").values_list("mentions", "mentions_all")
    assert list(stored) == [
        ([friend.user_id], False),
        ([], False),
        ([], False),
        ([ila.user_id], False),
    ]
    assert Mention.objects.count() == 2


def test_counting_uses_an_index() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("reads SQLite's plans")
    rows = Mention.objects.filter(room_id=1, user_id=2, seq__gt=3).values_list("seq")
    assert "(room_id=? AND user_id=? AND seq>?)" in rows.explain()
    everyone = Mention.objects.filter(room_id=1, user=None, seq__gt=3).values_list("seq")
    assert "(room_id=? AND user_id=? AND seq>?)" in everyone.explain()
