"""Consumers authorise the caller for their room."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from realtime.consumers import GroupChatConsumer
from rooms.errors import NotAMember
from rooms.models import RoomKind
from tests.factories import make_caller, make_room


@pytest.mark.django_db
def test_foreign_group_costs_the_same_query_as_a_missing_one() -> None:
    """The same query, so response times do not reveal the group either."""
    caller, owner = make_caller(), make_caller()
    room = make_room(RoomKind.GROUP, owner=[owner.user_id])
    statements = []
    for name in (str(room.name), "missing"):
        with CaptureQueriesContext(connection) as queries, pytest.raises(NotAMember):
            GroupChatConsumer().enter(caller, name)
        statements.append([query["sql"].replace(name, "?") for query in queries])
    assert statements[0] == statements[1]
    assert len(statements[0]) == 1
