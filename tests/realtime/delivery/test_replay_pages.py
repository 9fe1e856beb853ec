"""Pages of a replay are bounded, complete and in order."""

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from messaging.changes_since import StoredChange
from realtime.delivery import replay_pages as module
from realtime.delivery.replay_pages import MAX_PAGE_BYTES, Page, Place, read_page
from rooms.models import Room
from tests.factories import make_caller, make_room, store_message
from tests.realtime.test_events import state


def room_with(texts: list[str]) -> Room:
    caller = make_caller()
    room = make_room(member=[caller.user_id])
    for text in texts:
        store_message(caller, room, text)
    return room


def pages_of(room: Room, since: int) -> Iterator[Page]:
    place = Place(room.pk, since, since)
    while True:
        page = read_page(place)
        yield page
        if page.is_last:
            return
        place = place._replace(after=page.version)


@pytest.mark.django_db
@pytest.mark.parametrize("letter", ["x", "😀"])
def test_pages_are_bounded_in_bytes_and_hold_everything_in_order(letter: str) -> None:
    room = room_with([letter * 4000] * 150)
    pages = list(pages_of(room, 20))
    versions = [entry.version for page in pages for entry in page.entries or ()]
    assert versions == list(range(21, 151))
    for page in pages:
        text_bytes = sum(sys.getsizeof(entry.event["text"]) for entry in page.entries or ())
        assert text_bytes <= page.size <= MAX_PAGE_BYTES
    # An emoji takes four bytes, an ASCII letter one.
    assert len(pages) == (3 if letter == "😀" else 1)
    assert pages[-1].version == 150


@pytest.mark.django_db
def test_page_holds_at_least_one_message_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PAGE_BYTES", 10)
    pages = list(pages_of(room_with(["a", "b", "c"]), 0))
    assert [len(page.entries or ()) for page in pages] == [1, 1, 1]


def test_changed_message_is_available_as_message_and_as_change() -> None:
    message = replace(state(), content="better")
    entry = module._entry(StoredChange(message, created=5, change="edit"), since=4)
    assert '"type":"message"' in entry.event["text"]
    assert '"type":"edit"' in entry.changed_event()["text"]
    old = module._entry(StoredChange(message, created=4, change="edit"), since=4)
    assert '"type":"edit"' in old.event["text"]
    assert old.changed_event() is old.event
