"""Finds rooms by the start of their name or title.

Public rooms, and groups of the caller. They come in the order of the name that matches, each once.
A private room has neither name nor title.
"""

from typing import Any, NamedTuple

from django.db.models import Case, Q, When

from accounts.kernel.name_search import NamedTable, bounds_of, rows_by_name
from accounts.kernel.names import name_key, search_key
from accounts.kernel.pagination import Page, Position, page_of, position_in
from accounts.selectors import starts_with
from rooms.models import Room, RoomKind

PUBLIC_ROOMS = NamedTable(
    "rooms_room", "id", "name_key", "title_key", "kind = 'public' AND deleted_at IS NULL"
)
"""With literals: SQLite takes an index with a condition only where it finds that condition."""


class FoundRoom(NamedTuple):
    """A room, and the key of the name or title that matches."""

    id: int
    key: str


def search_rooms(
    user_id: int, text: str, *, kind: str | None, cursor: str | None, limit: int
) -> Page[Room]:
    """Returns a page of rooms, of one kind or of all.

    Raises Invalid for a cursor that was not made here.
    """
    position = position_in(cursor, 2)
    found: list[FoundRoom] = []
    if kind in (None, RoomKind.PUBLIC):
        rows = rows_by_name(PUBLIC_ROOMS, text, position, limit + 1)
        found += [FoundRoom(*row) for row in rows]
    if kind in (None, RoomKind.GROUP):
        found += _own_groups(user_id, text, position, limit + 1)
    found.sort(key=_values_of, reverse=position.backwards)
    page = page_of(found[:limit], position, more=len(found) > limit, limit=limit, values=_values_of)
    return _loaded(page)


def _own_groups(user_id: int, text: str, position: Position, limit: int) -> list[FoundRoom]:
    """Returns the first matches from the position on.

    The database sorts all matching groups of the user.
    """
    (after_key, after_id), (before_key, before_id) = bounds_of(search_key(text), position)
    by_name = starts_with("name_key", name_key(text))
    by_title = starts_with("title_key", search_key(text))
    groups = Room.objects.filter(by_name | by_title, deleted_at=None, members__user_id=user_id)
    # With `kind = ?` SQLite reads all groups instead of those of one user.
    groups = groups.exclude(kind__in=set(RoomKind) - {RoomKind.GROUP})
    keyed = groups.annotate(key=Case(When(by_name, then="name_key"), default="title_key")).filter(
        Q(key__gt=after_key) | Q(key=after_key, pk__gt=after_id),
        Q(key__lt=before_key) | Q(key=before_key, pk__lt=before_id),
    )
    order = ("-key", "-pk") if position.backwards else ("key", "pk")
    rows = keyed.order_by(*order).values_list("pk", "key")[:limit]
    return [FoundRoom(*row) for row in rows]


def _values_of(room: FoundRoom) -> list[Any]:
    return [room.key, room.id]


def _loaded(found: Page[FoundRoom]) -> Page[Room]:
    """Returns the rooms with what an answer shows; one deleted meanwhile is left out."""
    rooms = Room.objects.select_related("low", "high").in_bulk([room.id for room in found])
    page: Page[Room] = Page(rooms[room.id] for room in found if room.id in rooms)
    page.links = found.links
    return page
