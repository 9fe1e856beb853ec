"""Who may enter, as the consumers ask it."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from realtime.consumers import GroupChatConsumer
from rooms.errors import NotAMember
from rooms.models import RoomKind
from tests.factories import make_room, make_sign_in


@pytest.mark.django_db
def test_a_group_of_others_costs_exactly_what_a_missing_one_costs() -> None:
    """The same statement, so the time tells nothing either."""
    caller, owner = make_sign_in(), make_sign_in()
    room = make_room(RoomKind.GROUP, owner=[owner.user_id])
    asked = []
    for name in (str(room.name), "missing"):
        with CaptureQueriesContext(connection) as queries, pytest.raises(NotAMember):
            GroupChatConsumer().enter(caller, name)
        asked.append([query["sql"].replace(name, "?") for query in queries])
    assert asked[0] == asked[1]
    assert len(asked[0]) == 1
