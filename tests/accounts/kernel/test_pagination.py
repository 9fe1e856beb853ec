"""Keyset pages list each row once in both directions and reject foreign cursors."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from accounts.kernel.errors import Invalid
from accounts.kernel.pagination import (
    MAX_CURSOR_LENGTH,
    Page,
    cursor_after,
    id_in,
    keyset_page,
    write_links,
)
from accounts.models import User
from rooms.models import Room
from tests.factories import make_room, make_user

pytestmark = pytest.mark.django_db

BY_ACTIVITY = ["-active_at", "-pk"]


def page_of_users(cursor: str | None = None, limit: int = 3) -> Page[User]:
    return keyset_page(User.objects.all(), ["username_key"], cursor=cursor, limit=limit)


def page_of_rooms(cursor: str | None = None, limit: int = 3) -> Page[Room]:
    return keyset_page(Room.objects.all(), BY_ACTIVITY, cursor=cursor, limit=limit)


def cursor_of(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def names(page: Page[User]) -> str:
    return "".join(user.username for user in page)


@pytest.fixture
def seven() -> None:
    for name in "gfedcba":
        make_user(name)


def test_next_links_lead_to_the_last_page(seven: None) -> None:
    first = page_of_users()
    second = page_of_users(first.links["next"]["cursor"])
    third = page_of_users(second.links["next"]["cursor"])
    assert [names(page) for page in (first, second, third)] == ["abc", "def", "g"]
    assert "prev" not in first.links
    assert "next" not in third.links


def test_prev_links_lead_to_the_first_page(seven: None) -> None:
    second = page_of_users(page_of_users().links["next"]["cursor"])
    third = page_of_users(second.links["next"]["cursor"])
    back = page_of_users(third.links["prev"]["cursor"])
    start = page_of_users(back.links["prev"]["cursor"])
    assert (names(back), names(start)) == ("def", "abc")
    assert "prev" not in start.links
    assert start.links["next"] == page_of_users().links["next"]


def test_single_page_has_no_links(seven: None) -> None:
    page = page_of_users(limit=7)
    assert names(page) == "abcdefg"
    assert page.links == {}


def test_empty_list_is_a_page_without_links() -> None:
    page = page_of_users()
    assert page == []
    assert page.links == {}


def test_inserted_and_deleted_rows_shift_no_page(seven: None) -> None:
    first = page_of_users()
    User.objects.get(username="a").delete()
    make_user("bb")
    assert names(page_of_users(first.links["next"]["cursor"])) == "def"


def test_rows_with_equal_timestamps_appear_once() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    rooms = [make_room() for _ in range(8)]
    Room.objects.update(active_at=moment)
    Room.objects.filter(pk=rooms[0].pk).update(active_at=moment.replace(year=2027))
    seen: list[int] = []
    page = page_of_rooms()
    while True:
        seen += [room.pk for room in page]
        if "next" not in page.links:
            break
        page = page_of_rooms(page.links["next"]["cursor"])
    ids = [room.pk for room in rooms]
    assert seen == [ids[0], *reversed(ids[1:])]


@pytest.mark.parametrize("letter", ["a", "é", "я", "漢", "𐐀"])
def test_longest_name_in_any_script_fits_a_cursor(letter: str) -> None:
    for digit in "12":
        make_user(letter * 63 + digit)
    cursor = page_of_users(limit=1).links["next"]["cursor"]
    assert len(cursor) <= MAX_CURSOR_LENGTH
    assert names(page_of_users(cursor, limit=1)) == letter * 63 + "2"


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%%%",
        "é",
        "\ud800",
        "bnVsbA",  # null
        cursor_of(),
        cursor_of("n"),
        cursor_of("x", "2026-01-02T03:04:05+00:00", 5),
        cursor_of("n", "2026-01-02T03:04:05+00:00"),
        cursor_of("n", "2026-01-02T03:04:05+00:00", 5, 6),
        cursor_of("n", "yesterday", 5),
        cursor_of("n", 5, 5),
        cursor_of("n", "2026-13-41T03:04:05+00:00", 5),
        cursor_of("n", "9999-12-31T23:59:59-23:00", 5),
        cursor_of("n", "2026-01-02T03:04:05+00:00", "five"),
        cursor_of("n", "2026-01-02T03:04:05+00:00", 2**63),
        cursor_of("n", "2026-01-02T03:04:05+00:00", True),
        cursor_of("n", "2026-01-02T03:04:05+00:00", None),
        cursor_of("n", "2026-01-02T03:04:05+00:00", float("nan")),
        cursor_of("n", {"a": 1}, [5]),
        base64.urlsafe_b64encode(b"[" * 200).decode(),
    ],
)
def test_foreign_cursor_is_invalid(cursor: str) -> None:
    with pytest.raises(Invalid, match="cursor"):
        page_of_rooms(cursor)


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1])
def test_cursor_of_an_id_returns_the_id(value: int) -> None:
    assert id_in(cursor_after(value), "cursor") == value


@pytest.mark.parametrize("value", ["9" * 30, "5", "five", "", -1, 2**63, True, None, 1.5, [5]])
def test_cursor_of_anything_but_an_id_is_invalid(value: Any) -> None:
    with pytest.raises(Invalid, match="before"):
        id_in(cursor_of("n", value), "before")


def test_link_header_keeps_the_query_and_replaces_the_cursor(seven: None) -> None:
    request = RequestFactory().get("/api/users", {"q": "a b", "cursor": "old", "limit": "9"})
    response = HttpResponse()
    write_links(request, response, {"next": {"cursor": "new", "limit": 3}})
    assert response["Link"] == '</api/users?q=a+b&cursor=new&limit=3>; rel="next"'


def test_link_header_is_ascii_for_any_path() -> None:
    request = RequestFactory().get("/api/history/привет%3F")
    response = HttpResponse()
    write_links(request, response, {"prev": {"before": 5}})
    path = "/api/history/%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82%3F"
    assert response["Link"] == f'<{path}?before=5>; rel="prev"'


def test_no_links_means_no_header() -> None:
    response = HttpResponse()
    write_links(RequestFactory().get("/api/users"), response, {})
    assert "Link" not in response
