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
from rooms.room_search import search_rooms
from rooms.selectors import listed_rooms, may_be_read

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plans"),
]


def plan_of(rows: QuerySet[Any], order: str) -> str:
    # By id alone: with the whole row the plan has the same index under another name.
    plan = rows.order_by(order).values_list("pk")[:51].explain()
    assert "SCAN" not in plan, plan
    return plan


def searches_in(statement: str) -> list[str]:
    """Returns the index and range of each walk; none of them sorts."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        plan = [(parent, detail) for _, parent, _, detail in cursor.fetchall()]
    walks = [(parent, detail) for parent, detail in plan if detail.startswith("SEARCH")]
    if len(walks) > 2:
        # Sorted is what the walks found, a page of each.
        sorts = {parent for parent, detail in plan if "ORDER BY" in detail}
        assert not sorts & {parent for parent, _ in walks}
    return [detail.partition("INDEX ")[2] for _, detail in walks]


@pytest.mark.parametrize("kind", [None, "public", "group", "private"])
def test_room_list_uses_indexes_for_public_and_own_rooms(kind: str | None) -> None:
    plans = [plan_of(walk, "pk") for walk in listed_rooms(1, kind=kind)]
    indexes = [
        *(["room_by_kind (kind=?)"] if kind in (None, "public") else []),
        *(["member_by_user (user_id=?)"] if kind != "public" else []),
    ]
    assert len(plans) == len(indexes)
    for plan, index in zip(plans, indexes, strict=True):
        assert index in plan.splitlines()[0]


def test_room_list_needs_no_sort() -> None:
    (public,) = listed_rooms(1, kind="public")
    assert "ORDER BY" not in plan_of(public, "pk")


def test_room_search_walks_an_index_for_each_name() -> None:
    with CaptureQueriesContext(connection) as queries:
        search_rooms(1, "ila", kind=None, cursor=None, limit=50)
    public, own = (query["sql"] for query in queries.captured_queries[:2])
    by_title = "room_of_kind_by_title (kind=? AND shared_prefix=? AND title_key>? AND title_key<?)"
    first, *others = searches_in(public)
    assert "room_of_kind_by_name (kind=? AND name_key>? AND name_key<?)" in first
    assert others == [by_title] * 3
    assert "member_by_user (user_id=?)" in searches_in(own)[0]


def test_user_search_walks_an_index_for_each_name() -> None:
    with CaptureQueriesContext(connection) as queries:
        search_users("ila", cursor=None, limit=50)
    by_display = "user_by_shared_prefix (shared_prefix=? AND display_key>? AND display_key<?)"
    first, *others = searches_in(queries[0]["sql"])
    assert "(username_key>? AND username_key<?)" in first
    assert others == [by_display] * 3


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
