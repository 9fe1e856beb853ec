"""The feed: the newest readable messages, also among many unreadable ones."""

import base64

import pytest
from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.errors import Invalid
from messaging import selectors
from messaging.selectors import History, feed
from rooms.models import Ban, Room, RoomKind
from tests.factories import make_caller, make_private_room, make_room, make_user, store_message

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(ila: Caller) -> Room:
    return make_room(owner=[ila.user_id])


@pytest.fixture
def secret(ila: Caller) -> Room:
    return make_room(RoomKind.GROUP, owner=[ila.user_id])


def contents(page: History) -> list[str]:
    return [message["content"] for message in page.messages]


def walk(reader: Caller, limit: int = 2) -> list[list[str]]:
    """Returns all pages, from the newest back, by their links."""
    pages, before = [], None
    while True:
        page = feed(reader.user_id, before=before, limit=limit)
        pages.append(contents(page))
        if "prev" not in page.links:
            return pages
        before = page.links["prev"]["before"]


def test_feed_lists_readable_messages(ila: Caller, room: Room, secret: Room) -> None:
    guest, banned = make_caller(), make_caller()
    Ban.objects.create(room=room, user_id=banned.user_id)
    private = make_private_room(guest.user_id, make_user())
    for where, who in ((room, ila), (secret, ila), (private, guest)):
        store_message(who, where, where.kind)
    assert contents(feed(ila.user_id, before=None, limit=50)) == ["public", "group"]
    assert contents(feed(guest.user_id, before=None, limit=50)) == ["public", "private"]
    assert contents(feed(banned.user_id, before=None, limit=50)) == []
    Room.objects.update(deleted_at=timezone.now())
    assert contents(feed(ila.user_id, before=None, limit=50)) == []


def test_feed_page_scans_a_limited_number_of_messages_and_links_on(
    ila: Caller, room: Room, secret: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MAX_FEED_SCAN", 4)
    for number in range(5):
        store_message(ila, room, str(number))
    for _ in range(9):
        store_message(ila, secret)
    guest = make_caller()
    pages = walk(guest)
    assert [one for page in reversed(pages) for one in page] == list("01234")
    assert pages[0] == []
    assert len(pages) <= 8
    assert walk(make_caller(), limit=50)[-1] != []


def test_feed_with_unreadable_oldest_messages_ends(
    ila: Caller, room: Room, secret: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "MAX_FEED_SCAN", 2)
    for _ in range(5):
        store_message(ila, secret)
    store_message(ila, room, "last")
    pages = walk(make_caller())
    assert pages[0] == ["last"]
    assert pages[1:] == [[]] * (len(pages) - 1)
    assert len(pages) <= 4


@pytest.mark.parametrize("cursor", ['["p", 1]', '["n", "1"]', '["n", null]', '["n"]', "[]", "{"])
def test_foreign_feed_cursor_scans_nothing(cursor: str, ila: Caller, room: Room) -> None:
    for number in range(5):
        store_message(ila, room, str(number))
    made = base64.urlsafe_b64encode(cursor.encode()).decode().rstrip("=")
    try:
        assert feed(ila.user_id, before=made, limit=50).messages == []
    except Invalid:
        assert cursor != '["p", 1]'
