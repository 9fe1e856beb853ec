"""Finds users by the start of their username or display name.

Users come in the order of the name that matches, each once.
"""

from typing import NamedTuple

from .kernel.name_search import NamedTable, rows_by_name
from .kernel.pagination import Page, page_of, position_in

ACTIVE_USERS = NamedTable(
    "accounts_user", "id, username, display_name", "username_key", "display_key", "is_active"
)


class FoundUser(NamedTuple):
    """A user, and the key of the name that matches."""

    id: int
    username: str
    display_name: str
    key: str


def search_users(text: str, *, cursor: str | None, limit: int) -> Page[FoundUser]:
    """Returns a page of active users; all of them for an empty text.

    Raises Invalid for a cursor that was not made here.
    """
    position = position_in(cursor, 2)
    rows = rows_by_name(ACTIVE_USERS, text, position, limit + 1)
    found = [FoundUser(*row) for row in rows[:limit]]
    return page_of(
        found,
        position,
        more=len(rows) > limit,
        limit=limit,
        values=lambda user: [user.key, user.id],
    )
