"""The question that is asked of the database every second."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from realtime.repair import read_counters
from rooms.models import Kind, Room

pytestmark = pytest.mark.django_db


def make(name: str) -> Room:
    return Room.objects.create(kind=Kind.PUBLIC, name=name, name_key=name, version=3, access=1)


def test_ten_thousand_rooms_are_one_query_with_one_parameter() -> None:
    room = make("here")
    with CaptureQueriesContext(
        connection,
    ) as queries:
        counters = read_counters([room.pk, *range(1_000_000, 1_010_000)])
    assert counters == {room.pk: (3, 1)}
    assert len(queries) == 1


def test_a_deleted_room_has_no_counters() -> None:
    room = make("gone")
    Room.objects.filter(pk=room.pk).update(deleted_at=timezone.now())
    assert read_counters([room.pk]) == {}
