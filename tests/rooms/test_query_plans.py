"""Lists and searches use an index, with any number of rows of others."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from accounts.models import Session
from accounts.selectors import open_sessions
from accounts.user_search import search_users
from messaging import selectors as messages
from messaging.models import Message
from rooms.models import Ban, Member, Room
from rooms.selectors import find_rooms, may_be_read

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plans"),
]


def plan_of(rows: QuerySet[Any], order: str) -> str:
    # By id alone: with the whole row the plan has the same index under another name.
    plan = rows.order_by(order).values_list("pk")[:51].explain()
    assert "SCAN" not in plan, plan
    return plan


@pytest.mark.parametrize("kind", [None, "public", "group", "private"])
@pytest.mark.parametrize("text", ["", "sports"])
def test_room_search_uses_indexes_for_public_and_own_rooms(text: str, kind: str | None) -> None:
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


def test_room_list_needs_no_sort() -> None:
    (public,) = find_rooms(1, text="", kind="public")
    assert "ORDER BY" not in plan_of(public, "pk")


def test_user_search_walks_an_index_for_each_name() -> None:
    with CaptureQueriesContext(connection) as queries:
        search_users("ila", cursor=None, limit=50)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {queries[0]['sql']}")
        plan = [(parent, detail) for _, parent, _, detail in cursor.fetchall()]
    by_display = "user_by_shared_prefix (shared_prefix=? AND display_key>? AND display_key<?)"
    walks = {parent: detail for parent, detail in plan if detail.startswith("SEARCH")}
    first, *others = [detail.partition("INDEX ")[2] for detail in walks.values()]
    assert "(username_key>? AND username_key<?)" in first
    assert others == [by_display] * 3
    # Sorted is what the walks found, a page of each.
    assert not walks.keys() & {parent for parent, detail in plan if "ORDER BY" in detail}


def test_lookups_use_an_index_after_dropping_their_own() -> None:
    ended = Session.objects.filter(user_id=1)
    assert "session_by_user (user_id=?)" in plan_of(ended, "-pk")
    own = plan_of(open_sessions(1), "-id")
    assert "session_by_user (user_id=? AND ended_at=?)" in own
    assert "ORDER BY" not in own
    assert "member_by_room (room_id=?)" in plan_of(Member.objects.filter(room_id=1), "pk")
    assert "(room_id=? AND user_id=?)" in plan_of(Member.objects.filter(room_id=1, user_id=1), "pk")
    assert "(room_id=?" in plan_of(Ban.objects.filter(room_id=1), "pk")
    assert "(low_id=?" in plan_of(Room.objects.filter(low_id=1, deleted_at=None), "pk")


def test_feed_scan_stops_at_its_limit() -> None:
    rows = Message.objects.filter(may_be_read(1), pk__gte=0, pk__lt=messages.MAX_FEED_SCAN)
    first, *others = plan_of(rows, "-pk").splitlines()
    assert "messaging_message USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in first
    assert "ORDER BY" not in "".join(others)
