"""Finds rows of a table by the start of either of two names.

Rows come in the order of the name that matches, each once: a row whose both names match is found by
the first. A page costs the same in a table of any size.
"""

import functools
from dataclasses import dataclass
from typing import Any

from django.db import connection

from .names import MAX_NAME_LENGTH, name_key, search_key
from .pagination import Position, not_ours

LAST_CHARACTER = "\U0010ffff"
Bounds = tuple[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class NamedTable:
    """Names a table with two keys, and the column `shared_prefix`.

    That column counts the characters that both keys begin with. `first` is a key of `name_key`,
    `second` of `search_key`; both are a KeyField. There is an index of (`first`, id) and one of
    (`shared_prefix`, `second`, id) for the rows with `condition`.
    """

    table: str
    columns: str
    first: str
    second: str
    condition: str


def rows_by_name(
    named: NamedTable, text: str, position: Position, limit: int
) -> list[tuple[Any, ...]]:
    """Returns the first rows from the position on.

    A row has `columns`, and the key that matches. Raises Invalid for a position that was not made
    here.
    """
    first, second = name_key(text), search_key(text)
    by_first = [*_flat(bounds_of(first, position)), limit]
    by_second = [*_flat(bounds_of(second, position)), limit]
    depth = min(len(first), MAX_NAME_LENGTH + 1)
    if connection.vendor == "postgresql":
        statement = _on_postgresql(named, backwards=position.backwards)
        parameters = [*by_first, depth - 1, *by_second, limit]
    else:
        statement = _on_sqlite(named, depth, backwards=position.backwards)
        parameters = [*by_first, *(one for n in range(depth) for one in (n, *by_second)), limit]
    with connection.cursor() as reader:
        reader.execute(statement, parameters)
        return list(reader.fetchall())


def bounds_of(prefix: str, position: Position) -> Bounds:
    """Returns what lies before and after a walk, as (key, id).

    From its start, or from the position, to its end.
    """
    first: tuple[str, int] = (prefix, 0)
    last: tuple[str, int] = (prefix + LAST_CHARACTER, 0)
    if position.values is not None:
        key, row_id = position.values
        if not isinstance(key, str) or not isinstance(row_id, int):
            raise not_ours("cursor")
        if position.backwards:
            last = min(last, (key, row_id))
        else:
            first = max(first, (key, row_id))
    return first, last


def _flat(bounds: Bounds) -> list[str | int]:
    return [*bounds[0], *bounds[1]]


# One walk finds the first names. The others find second names of rows whose first name does not
# match, one walk for each length below `depth` of the start that both names share. Each follows an
# index and stops after a page. The ORM has no such union: its OR of two ranges reads every match.


@functools.cache
def _on_postgresql(named: NamedTable, *, backwards: bool) -> str:
    """Returns one walk for all lengths: planning 65 of them takes 10 ms."""
    by_second = _walk(named, named.second, "shared_prefix = depth.shared AND", backwards=backwards)
    walks = f"generate_series(0, %s) AS depth (shared) CROSS JOIN LATERAL ({by_second}) AS walk"
    return _merged(named, [f"SELECT walk.* FROM {walks}"], backwards=backwards)  # noqa: S608


@functools.cache
def _on_sqlite(named: NamedTable, depth: int, *, backwards: bool) -> str:
    """Returns the walks one by one, at most 65: SQLite has no LATERAL."""
    by_second = _walk(named, named.second, "shared_prefix = %s AND", backwards=backwards)
    return _merged(named, [f"SELECT * FROM ({by_second})"] * depth, backwards=backwards)  # noqa: S608


def _merged(named: NamedTable, by_second: list[str], *, backwards: bool) -> str:
    by_first = _walk(named, named.first, "", backwards=backwards)
    walks = " UNION ALL ".join([f"SELECT * FROM ({by_first}) AS walk", *by_second])  # noqa: S608
    return f"SELECT * FROM ({walks}) AS found {_order('matching', backwards=backwards)}"  # noqa: S608


def _walk(named: NamedTable, column: str, condition: str, *, backwards: bool) -> str:
    return (
        f"SELECT {named.columns}, {column} AS matching FROM {named.table}"  # noqa: S608
        f" WHERE {named.condition} AND {condition}"
        f" ({column}, id) > (%s, %s) AND ({column}, id) < (%s, %s)"
        f" {_order(column, backwards=backwards)}"
    )


def _order(column: str, *, backwards: bool) -> str:
    direction = "DESC" if backwards else "ASC"
    return f"ORDER BY {column} {direction}, id {direction} LIMIT %s"
