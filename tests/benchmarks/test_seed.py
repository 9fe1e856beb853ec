"""Seeding a database for measurements."""

import pytest
from django.db import connection

from messaging.models import Message
from rooms.models import Room
from tests.factories import commits

from .seed import Plan, filled

pytestmark = [
    commits,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="the statements are SQLite's"),
]


def test_rooms_are_filled_with_members_and_messages() -> None:
    tokens = filled([Plan("first", 2, 30), Plan("empty", 1, 0)])
    assert {name: len(each) for name, each in tokens.items()} == {"first": 2, "empty": 1}
    first = Room.objects.get(name="first")
    assert (first.version, first.member_count) == (30, 2)
    assert Message.objects.filter(room=first).count() == 30
