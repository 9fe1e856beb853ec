"""Finds users by the start of their username or display name.

Users come in the order of the name that matches, each once: a user whose both names match is found
by the username. A page costs the same on a site of any size.
"""

import functools
from typing import NamedTuple

from django.db import connection

from .kernel.names import MAX_NAME_LENGTH, name_key, search_key
from .kernel.pagination import Page, Position, not_ours, page_of, position_in
from .selectors import LAST_CHARACTER


class FoundUser(NamedTuple):
    """A user, and the name that matches."""

    id: int
    username: str
    display_name: str
    key: str


def search_users(text: str, *, cursor: str | None, limit: int) -> Page[FoundUser]:
    """Returns a page of active users; all of them for an empty text.

    Raises Invalid for a cursor that was not made here.
    """
    position = position_in(cursor, 2)
    name, display = name_key(text), search_key(text)
    by_username = [*_range(name, position), limit + 1]
    by_display = [*_range(display, position), limit + 1]
    depth = min(len(name), MAX_NAME_LENGTH + 1)
    if connection.vendor == "postgresql":
        statement = _on_postgresql(backwards=position.backwards)
        parameters = [*by_username, depth - 1, *by_display, limit + 1]
    else:
        statement = _on_sqlite(depth, backwards=position.backwards)
        parameters = [*by_username, *(one for n in range(depth) for one in (n, *by_display))]
        parameters.append(limit + 1)
    with connection.cursor() as reader:
        reader.execute(statement, parameters)
        found = [FoundUser(*row) for row in reader.fetchall()]
    more = len(found) > limit
    return page_of(
        found[:limit], position, more=more, limit=limit, values=lambda user: [user.key, user.id]
    )


def _range(prefix: str, position: Position) -> list[str | int]:
    """Returns the bounds of a walk: from its start, or from the position, to its end."""
    first: tuple[str, int] = (prefix, 0)
    last: tuple[str, int] = (prefix + LAST_CHARACTER, 0)
    if position.values is not None:
        key, user_id = position.values
        if not isinstance(key, str) or not isinstance(user_id, int):
            raise not_ours("cursor")
        if position.backwards:
            last = min(last, (key, user_id))
        else:
            first = max(first, (key, user_id))
    return [*first, *last]


# One walk finds usernames. The others find display names of users whose username does not match,
# one walk for each length below `depth` of the start that both names share. Each follows an index
# and stops after a page. The ORM has no such union: its OR of two ranges reads every match.


@functools.cache
def _on_postgresql(*, backwards: bool) -> str:
    """Returns one walk for all lengths: planning 65 of them takes 10 ms."""
    by_display = _walk("display_key", "shared_prefix = depth.shared AND", backwards=backwards)
    walks = f"generate_series(0, %s) AS depth (shared) CROSS JOIN LATERAL ({by_display}) AS walk"
    return _merged([f"SELECT walk.* FROM {walks}"], backwards=backwards)  # noqa: S608


@functools.cache
def _on_sqlite(depth: int, *, backwards: bool) -> str:
    """Returns the walks one by one, at most 65: SQLite has no LATERAL."""
    by_display = _walk("display_key", "shared_prefix = %s AND", backwards=backwards)
    return _merged([f"SELECT * FROM ({by_display})"] * depth, backwards=backwards)  # noqa: S608


def _merged(by_display: list[str], *, backwards: bool) -> str:
    by_username = _walk("username_key", "", backwards=backwards)
    walks = " UNION ALL ".join([f"SELECT * FROM ({by_username}) AS walk", *by_display])  # noqa: S608
    return f"SELECT * FROM ({walks}) AS found {_order('matching', backwards=backwards)}"  # noqa: S608


def _walk(column: str, condition: str, *, backwards: bool) -> str:
    return (
        f"SELECT id, username, display_name, {column} AS matching FROM accounts_user"  # noqa: S608
        f" WHERE is_active AND {condition} ({column}, id) > (%s, %s) AND ({column}, id) < (%s, %s)"
        f" {_order(column, backwards=backwards)}"
    )


def _order(column: str, *, backwards: bool) -> str:
    direction = "DESC" if backwards else "ASC"
    return f"ORDER BY {column} {direction}, id {direction} LIMIT %s"
