"""Pages of a room's messages."""

import pytest

from accounts.auth import Caller
from messaging.selectors import history
from rooms.models import Room
from rooms.selectors import room_access
from tests.factories import draft, store_now
from tests.messaging.service_calls import history_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlimited")]


@pytest.mark.parametrize(
    ("before", "after", "seqs"),
    [
        (None, None, [5, 6, 7]),
        (5, None, [2, 3, 4]),
        (2, None, [1]),
        (1, None, []),
        (None, 0, [1, 2, 3]),
        (None, 6, [7]),
        (None, 7, []),
        (6, 4, [5]),
        (7, 2, [3, 4, 5]),
    ],
)
def test_page_runs_from_old_to_new(
    ila: Caller, room: Room, before: int | None, after: int | None, seqs: list[int]
) -> None:
    store_now(*[draft(ila, room) for _ in range(7)])
    assert [one.seq for one in history_of(room, ila, before=before, after=after)] == seqs


def test_links_lead_from_page_to_page(ila: Caller, room: Room) -> None:
    store_now(*[draft(ila, room) for _ in range(7)])
    access = room_access(ila.user_id, room.pk)
    newest = history(access, before=None, after=None, limit=3)
    assert newest.links == {"prev": {"before": 5, "limit": 3}}
    middle = history(access, before=5, after=None, limit=3)
    assert middle.links == {"next": {"after": 4, "limit": 3}, "prev": {"before": 2, "limit": 3}}
    oldest = history(access, before=2, after=None, limit=3)
    assert oldest.links == {"next": {"after": 1, "limit": 3}}
