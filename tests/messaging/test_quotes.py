"""A message shows the current text that it replies to, in every place."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.auth import Caller
from messaging import deletion, editing
from messaging.changes_since import changes_since
from messaging.my_rooms import my_rooms
from messaging.quotes import MAX_QUOTE_LENGTH
from messaging.search.selectors import Search, search_messages
from messaging.selectors import feed, history
from rooms.models import Room
from rooms.selectors import room_access
from tests.factories import commits, draft, store_message, store_now

pytestmark = [commits, pytest.mark.usefixtures("unlimited")]


def quotes_everywhere(caller: Caller, room: Room) -> list[Any]:
    """The quote of the newest message in each answer and frame that shows it."""
    room.refresh_from_db()
    access = room_access(caller.user_id, room.pk)
    (mine,) = my_rooms(caller.user_id, cursor=None, limit=1)
    return [
        history(access, before=None, after=None, limit=1).messages[0]["quote"],
        feed(caller.user_id, before=None, limit=1).messages[0]["quote"],
        mine["last_message"]["quote"],
        changes_since(room, room.version - 3, limit=9)[-1].message.quote,
        search_messages(Search(caller.user_id, "reply"), cursor=None, limit=1).messages[0]["quote"],
    ]


def test_quotes_follow_edits_and_deletions(ila: Caller, friend: Caller, room: Room) -> None:
    quoted = store_message(friend, room, "x" * 500)
    reply = store_message(ila, room, "a reply", reply_to=quoted.id, client_id="1")
    expected: Any = {
        "id": quoted.id,
        "sender": friend.user_id,
        "username": "friend",
        "content": "x" * MAX_QUOTE_LENGTH,
        "deleted": False,
    }
    assert reply.quote == expected
    assert quotes_everywhere(ila, room) == [expected] * 5
    change: Any = {"caller": friend, "room_id": room.pk, "message_id": quoted.id}
    editing.edit_message(**change, content="shorter")
    # The reply stays the newest message; the change before it is the edit.
    again = store_message(ila, room, "a reply", reply_to=quoted.id, client_id="1")
    assert (again.id, again.quote) == (reply.id, expected | {"content": "shorter"})
    edited = editing.edit_message(
        caller=ila, room_id=room.pk, message_id=reply.id, content="a reply!"
    )
    assert edited.quote == expected | {"content": "shorter"}
    deletion.delete_message(**change)
    editing.edit_message(caller=ila, room_id=room.pk, message_id=reply.id, content="a reply?")
    gone = expected | {"content": "", "deleted": True}
    assert quotes_everywhere(ila, room) == [gone] * 5
    deletion.delete_message(caller=ila, room_id=room.pk, message_id=reply.id)
    (shown,) = history(room_access(ila.user_id, room.pk), before=None, after=None, limit=1).messages
    assert (shown["reply_to"], shown["quote"]) == (None, None)


def test_quotes_cost_one_query_for_a_page_and_none_for_a_batch(ila: Caller, room: Room) -> None:
    first = store_message(ila, room)
    with CaptureQueriesContext(
        connection,
    ) as alone:
        store_now(draft(ila, room, "not a reply"))
    replies = [draft(ila, room, "reply", reply_to=first.id) for _ in range(20)]
    store_now(*replies)
    access = room_access(ila.user_id, room.pk)
    with CaptureQueriesContext(connection) as page:
        assert len(history(access, before=None, after=None, limit=20).messages) == 20
    assert len(page) == 2
    assert len(alone) <= 2
