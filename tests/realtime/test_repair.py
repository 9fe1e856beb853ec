"""The question that is asked of the database every second."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from realtime.repair import read_news
from rooms.models import Kind, Room

pytestmark = pytest.mark.django_db


def make(name: str) -> Room:
    return Room.objects.create(kind=Kind.PUBLIC, name=name, name_key=name, version=3, access=1)


def test_only_rooms_that_are_elsewhere_are_news() -> None:
    rooms = [make(name) for name in ("same", "older here", "removal", "ahead here")]
    same, older, removal, ahead = (room.pk for room in rooms)
    known = {same: (3, 1), older: (2, 1), removal: (3, 0), ahead: (4, 1)}
    assert read_news(known) == {older: (3, 1), removal: (3, 1), ahead: (3, 1)}


def test_a_deleted_room_is_news() -> None:
    room = make("gone")
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now())
    assert read_news({room.pk: (3, 1)}) == {room.pk: None}


def test_ten_thousand_rooms_are_one_query() -> None:
    room = make("here")
    known = {room.pk: (3, 1)} | dict.fromkeys(range(1_000_000, 1_010_000), (1, 0))
    with CaptureQueriesContext(connection) as queries:
        assert len(read_news(known)) == 10_000
    assert len(queries) == 1


def test_no_room_is_no_news() -> None:
    assert read_news({}) == {}
