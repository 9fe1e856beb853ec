"""A page ends early at CHAT_PAGE_BYTES, and its links continue without a gap."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.auth import Caller
from messaging import my_rooms as my_rooms_module
from messaging import selectors
from messaging.models import Message
from messaging.my_rooms import my_rooms
from messaging.selectors import History, feed, history
from rooms.models import Room
from rooms.selectors import room_access
from tests.factories import make_room, store_message

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]

PAGE_BYTES = 20_000
LONG = "\N{GRINNING FACE}" * 1000
"""4,000 bytes: with the other members, four of them fit into a page."""
FITTING = 4


@pytest.fixture(autouse=True)
def small_pages(settings: Settings) -> None:
    settings.CHAT_PAGE_BYTES = PAGE_BYTES


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the ids of messages whose texts are read from the database."""
    ids: list[int] = []
    load = Message.from_db.__func__  # type: ignore[attr-defined]

    def note(cls: type[Message], db: str, names: Any, values: Any) -> Message:
        message: Message = load(cls, db, names, values)
        ids.append(message.pk)
        return message

    measure, read = selectors._bytes_of_row, my_rooms_module._messages_by_id

    def note_row(row: Any) -> int:
        ids.append(row[0])
        return measure(row)

    def note_rows(*asked: Any) -> dict[int | None, tuple[Any, ...]]:
        rows = read(*asked)
        ids.extend(row[0] for row in rows.values())
        return rows

    monkeypatch.setattr(Message, "from_db", classmethod(note))
    monkeypatch.setattr(selectors, "_bytes_of_row", note_row)
    monkeypatch.setattr(my_rooms_module, "_messages_by_id", note_rows)
    return ids


def seqs(page: History) -> list[int]:
    return [message["seq"] for message in page.messages]


def walk(read: Callable[..., History], rel: str, **start: Any) -> list[list[int]]:
    """Yields the pages in the order of the links."""
    pages, where = [], {"limit": 200, **start}
    while True:
        page = read(**where)
        pages.append(seqs(page))
        if rel not in page.links:
            return pages
        where = page.links[rel]


def reader(caller: Caller, room: Room) -> Callable[..., History]:
    def read(*, limit: int, before: int | None = None, after: int | None = None) -> History:
        access = room_access(caller.user_id, room.pk)
        return history(access, before=before, after=after, limit=limit)

    return read


def test_history_page_ends_early_and_links_in_both_directions(ila: Caller, room: Room) -> None:
    for _ in range(10):
        store_message(ila, room, LONG)
    read = reader(ila, room)
    assert walk(read, "prev") == [[7, 8, 9, 10], [3, 4, 5, 6], [1, 2]]
    assert walk(read, "next", after=0) == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]
    # From the middle in both directions, also at both ends.
    assert walk(read, "prev", before=4) == [[1, 2, 3]]
    assert walk(read, "next", after=10) == [[]]
    assert read(limit=200, after=0).links == {"next": {"after": 4, "limit": 200}}
    assert read(limit=200, before=3).links == {"next": {"after": 2, "limit": 200}}


def test_page_between_two_messages_ends_early(ila: Caller, room: Room) -> None:
    for _ in range(8):
        store_message(ila, room, LONG)
    page = reader(ila, room)(limit=200, after=1, before=8)
    assert seqs(page) == [2, 3, 4, 5]
    assert page.links["next"]["after"] == 5


def test_message_longer_than_a_page_has_its_own_page(ila: Caller, room: Room) -> None:
    for text in ("short", LONG * 6, "short", LONG * 6, LONG * 6):
        store_message(ila, room, text)
    read = reader(ila, room)
    assert walk(read, "prev") == [[5], [4], [3], [2], [1]]
    assert walk(read, "next", after=0) == [[1], [2], [3], [4], [5]]


def test_at_most_one_unsent_message_is_read(ila: Caller, room: Room, loaded: list[int]) -> None:
    for _ in range(12):
        store_message(ila, room, LONG)
    for before in (None, 8):
        loaded.clear()
        reader(ila, room)(limit=200, before=before)
        assert len(loaded) <= FITTING + 1
    loaded.clear()
    feed(ila.user_id, before=None, limit=200)
    assert len(loaded) <= FITTING + 1


@pytest.mark.parametrize("text", ["\x01" * 700, '"' * 1800], ids=["controls", "quotes"])
def test_json_escapes_count_at_their_sent_size(ila: Caller, room: Room, text: str) -> None:
    for _ in range(6):
        store_message(ila, room, text)
    assert seqs(reader(ila, room)(limit=200))[0] > 1


def test_reactions_count_towards_page_bytes(ila: Caller, room: Room) -> None:
    shown = [{"emoji": f"{kind:032}", "count": 50, "users": [10**9] * 50} for kind in range(10)]
    for _ in range(6):
        store_message(ila, room)
    Message.objects.update(reactions=shown)
    assert len(reader(ila, room)(limit=200).messages) == 2


def test_feed_page_ends_early_and_links_on(ila: Caller, room: Room) -> None:
    for _ in range(10):
        store_message(ila, room, LONG)
    pages = walk(lambda limit, before=None: feed(ila.user_id, before=before, limit=limit), "prev")
    assert pages == [[7, 8, 9, 10], [3, 4, 5, 6], [1, 2]]


def test_my_rooms_page_ends_early_and_links_in_both_directions(
    ila: Caller, loaded: list[int]
) -> None:
    rooms = [make_room(owner=[ila.user_id]) for _ in range(9)]
    for room in rooms:
        store_message(ila, room, LONG)
    newest_first = [room.pk for room in reversed(rooms)]
    loaded.clear()
    pages, links, cursor = [], [], None
    while True:
        page = my_rooms(ila.user_id, cursor=cursor, limit=200)
        pages.append([room["id"] for room in page])
        links.append(page.links)
        if "next" not in page.links:
            break
        cursor = page.links["next"]["cursor"]
    assert [len(page) for page in pages] == [3, 3, 3]
    assert [pk for page in pages for pk in page] == newest_first
    # Only the shown messages were read.
    assert len(loaded) == 9
    back = my_rooms(ila.user_id, cursor=links[2]["prev"]["cursor"], limit=200)
    assert [room["id"] for room in back] == pages[1]
    back = my_rooms(ila.user_id, cursor=back.links["prev"]["cursor"], limit=200)
    assert [room["id"] for room in back] == pages[0]
    assert "prev" not in back.links


def test_page_that_fits_costs_one_query(
    ila: Caller,
    room: Room,
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    settings.CHAT_PAGE_BYTES = 1024**2
    store_message(ila, room)
    access = room_access(ila.user_id, room.pk)
    for limit, queries in ((50, 1), (200, 2)):
        with django_assert_num_queries(queries):
            assert len(history(access, before=None, after=None, limit=limit).messages) == 1


def test_page_without_a_byte_limit_has_the_requested_length(
    ila: Caller, room: Room, settings: Settings
) -> None:
    settings.CHAT_PAGE_BYTES = None
    for _ in range(10):
        store_message(ila, room, LONG)
    assert len(reader(ila, room)(limit=200).messages) == 10
