"""Lists and searches walk an index, however many rooms, people and messages of others there are."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from accounts.models import Session
from accounts.selectors import open_sessions, search_users
from messaging import selectors as messages
from messaging.models import Message
from rooms.models import Ban, Member, Room
from rooms.selectors import find_rooms, may_be_read

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plans"),
]


def plan_of(rows: QuerySet[Any], order: str) -> str:
    # By id alone: with the rest of the row the index would be the same, not its name in the plan.
    plan = rows.order_by(order).values_list("pk")[:51].explain()
    assert "SCAN" not in plan, plan
    return plan


@pytest.mark.parametrize("kind", [None, "public", "group", "private"])
@pytest.mark.parametrize("text", ["", "sports"])
def test_rooms_are_found_among_the_public_and_the_callers_own(text: str, kind: str | None) -> None:
    plans = [plan_of(walk, "pk") for walk in find_rooms(1, text=text, kind=kind)]
    public = (
        ["room_by_start_of_name (kind=? AND name_key>?", "room_by_start_of_title (kind=?"]
        if text
        else ["room_by_kind (kind=?)"]
    )
    indexes = [
        *(public if kind in (None, "public") else []),
        *(["member_by_user (user_id=?)"] if kind != "public" else []),
    ]
    assert len(plans) == len(indexes)
    for plan, index in zip(plans, indexes, strict=True):
        assert index in plan.splitlines()[0]


def test_rooms_come_in_the_order_of_the_index() -> None:
    (public,) = find_rooms(1, text="", kind="public")
    assert "ORDER BY" not in plan_of(public, "pk")


def test_people_are_found_by_the_start_of_either_name() -> None:
    by_name, by_display = (plan_of(walk, "username_key") for walk in search_users("ila"))
    assert "(username_key>? AND username_key<?)" in by_name
    assert "ORDER BY" not in by_name
    assert "user_by_display (display_key>? AND display_key<?)" in by_display


def test_what_led_by_an_index_of_its_own_still_walks_one() -> None:
    ended = Session.objects.filter(user_id=1)
    assert "session_by_user (user_id=?)" in plan_of(ended, "-pk")
    own = plan_of(open_sessions(1), "-id")
    assert "session_by_user (user_id=? AND ended_at=?)" in own
    assert "ORDER BY" not in own
    assert "member_by_room (room_id=?)" in plan_of(Member.objects.filter(room_id=1), "pk")
    assert "(room_id=? AND user_id=?)" in plan_of(Member.objects.filter(room_id=1, user_id=1), "pk")
    assert "(room_id=?" in plan_of(Ban.objects.filter(room_id=1), "pk")
    assert "(low_id=?" in plan_of(Room.objects.filter(low_id=1, deleted_at=None), "pk")


def test_the_feed_walks_back_from_the_newest_no_further_than_its_reach() -> None:
    rows = Message.objects.filter(may_be_read(1), pk__gte=0, pk__lt=messages.MAX_FEED_SCAN)
    first, *others = plan_of(rows, "-pk").splitlines()
    assert "messaging_message USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in first
    assert "ORDER BY" not in "".join(others)
