"""Cuts lists into keyset pages with opaque cursors (RFC 8288, contract §2).

The Link header holds the cursors.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Func, IntegerField, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import escape_uri_path
from ninja import Query
from typing_extensions import override

from .errors import Invalid, invalid

Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")
SURROGATE = re.compile("[\ud800-\udfff]")
MAX_CURSOR_LENGTH = 600
"""A name of 64 characters of four bytes each, and a date or an id, in base64."""
Limit = Annotated[int, Query(50, ge=1, le=200, description="How many, at most 200")]
Cursor = Annotated[
    str | None,
    Query(
        None, max_length=MAX_CURSOR_LENGTH, description="From the `Link` header of an earlier page"
    ),
]


@dataclass(frozen=True, slots=True)
class RowSize(Generic[Row]):
    """Knows the size of a row in an answer.

    The database estimates it; a loaded row is measured. `maximum` is what the longest row takes, so
    that a page of rows that fit anyway is not measured.
    """

    expression: Any
    of: Callable[[Row], int]
    maximum: int


class Octets(Func):
    """Counts the bytes of a text in the database, as UTF-8."""

    function = "octet_length"
    output_field = IntegerField()

    @override
    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Older versions of SQLite have no octet_length, and their length() counts characters.
        template = "length(CAST(%(expressions)s AS BLOB))"
        return self.as_sql(compiler, connection, template=template, **context)


def json_bytes(text: str) -> int:
    """Returns the bytes of a text in an answer, where JSON escapes some characters."""
    return len(encode_basestring(text).encode(errors="replace"))


def read_rows(
    rows: QuerySet[Row], *, limit: int, size: RowSize[Row] | None = None
) -> tuple[list[Row], bool]:
    """Returns the first rows and whether more follow.

    At most `limit` rows and about CHAT_PAGE_BYTES. At least one. Where they could be more bytes
    than that, the database is asked for their sizes first, so that this process never holds what it
    does not send.
    """
    page_bytes: int | None = settings.CHAT_PAGE_BYTES
    if size is not None and page_bytes is not None and limit * size.maximum > page_bytes:
        sizes = rows.annotate(row_bytes=size.expression).values_list("row_bytes", flat=True)
        limit = count_fitting(sizes[:limit]) or limit
    found = list(rows[: limit + 1])
    kept = min(limit, len(found))
    if size is not None:
        kept = count_fitting(map(size.of, found[:kept]))
    return found[:kept], len(found) > kept


def count_fitting(sizes: Iterable[int]) -> int:
    """Returns how many rows fit into CHAT_PAGE_BYTES, at least one of any."""
    count = total = 0
    page_bytes: float = settings.CHAT_PAGE_BYTES or math.inf
    for count, size in enumerate(sizes, 1):
        total += size
        if total > page_bytes:
            return max(1, count - 1)
    return count


class Page(list[Item], Generic[Item]):
    """Holds one page of rows.

    `links` maps `next` and `prev` to the query parameters that lead there.
    """

    links: dict[str, dict[str, Any]]


def keyset_page(
    rows: QuerySet[Row],
    order: Sequence[str],
    *,
    cursor: str | None,
    limit: int,
    field: str = "cursor",
    walks: Sequence[QuerySet[Row]] = (),
    size: RowSize[Row] | None = None,
) -> Page[Row]:
    """Returns a page of `rows` in `order`.

    `order` has names of attributes, `-` for falling; the last one is unique. With `walks`, the page
    holds the rows that any of these queries finds, each by its own index: no database follows two
    indexes in order for one query with OR. With `size`, a page ends early at about CHAT_PAGE_BYTES.
    Raises Invalid for a cursor that we did not make; `field` is what the client calls it.
    """
    try:
        return _page(rows, order, cursor, limit, walks, size)
    # A date beyond the calendar fails only when the query is made.
    except (ValueError, TypeError, OverflowError, ValidationError, DataError) as error:
        raise not_ours(field) from error


def _page(
    rows: QuerySet[Row],
    order: Sequence[str],
    cursor: str | None,
    limit: int,
    walks: Sequence[QuerySet[Row]],
    size: RowSize[Row] | None,
) -> Page[Row]:
    position = _position(cursor, len(order))
    directed = [_flip(field) if position.backwards else field for field in order]
    beyond = _beyond(directed, position.values) if position.values is not None else Q()
    if walks:
        ordered = (walk.filter(beyond).order_by(*directed) for walk in walks)
        rows = rows.filter(
            pk__in={pk for walk in ordered for pk in walk.values_list("pk", flat=True)[: limit + 1]}
        )
    else:
        rows = rows.filter(beyond)
    found, more = read_rows(rows.order_by(*directed), limit=limit, size=size)
    return page_of(
        found, position, more=more, limit=limit, values=lambda row: _values_of(row, order)
    )


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after `values`, or with the first row when there are none."""

    backwards: bool = False
    values: list[Any] | None = None


def position_in(cursor: str | None, length: int, field: str = "cursor") -> Position:
    """Returns what a cursor of so many values holds.

    Raises Invalid for one not made here.
    """
    try:
        return _position(cursor, length)
    except (ValueError, TypeError) as error:
        raise not_ours(field) from error


def _position(cursor: str | None, length: int) -> Position:
    return Position(*_decode(cursor, length)) if cursor else Position()


def page_of(
    found: list[Item],
    position: Position,
    *,
    more: bool,
    limit: int,
    values: Callable[[Item], Sequence[Any]],
) -> "Page[Item]":
    """Returns the page of rows that were found in walking order, with its links.

    `values` are those of a row that the order goes by; `more` rows follow in walking order.
    """
    backwards = position.backwards
    page: Page[Item] = Page(reversed(found) if backwards else found)
    page.links = {}
    if page and (backwards or more):
        page.links["next"] = {"cursor": _written("n", values(page[-1])), "limit": limit}
    if page and (more if backwards else position.values is not None):
        page.links["prev"] = {"cursor": _written("p", values(page[0])), "limit": limit}
    return page


def id_in(cursor: str, field: str) -> int:
    """Returns the id in a cursor of a page ordered by id. Raises Invalid."""
    try:
        _, (value,) = _decode(cursor, 1)
    except (ValueError, TypeError) as error:
        raise not_ours(field) from error
    if not isinstance(value, int) or value < 0:  # a numeric text, too: SQLite takes 64 bits only
        raise not_ours(field)
    return value


def cursor_after(value: int) -> str:
    """Returns the cursor of the page that begins after this id."""
    return _written("n", [value])


def not_ours(field: str) -> Invalid:
    return invalid(field, "is not a valid cursor: take it from a Link header")


def _flip(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


def _beyond(order: Sequence[str], values: Sequence[Any]) -> Q:
    """Returns rows after `values`: (a, b) > (x, y) is a > x, or a = x and b > y."""
    beyond, equal = Q(), Q()
    for field, value in zip(order, values, strict=True):
        name = field.removeprefix("-")
        lookup = f"{name}__{'lt' if field.startswith('-') else 'gt'}"
        beyond |= equal & Q(**{lookup: value})
        equal &= Q(**{name: value})
    return beyond


def _values_of(row: Model, order: Sequence[str]) -> list[Any]:
    return [getattr(row, field.removeprefix("-")) for field in order]


def _written(direction: str, values: Sequence[Any]) -> str:
    plain = [value.isoformat() if hasattr(value, "isoformat") else value for value in values]
    text = json.dumps([direction, *plain], ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, length: int) -> tuple[bool, list[Any]]:
    """Returns direction and values of a cursor. Raises ValueError, TypeError."""
    raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    try:
        direction, *values = json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested without end") from error
    if direction not in ("n", "p") or len(values) != length or not all(map(_is_plain, values)):
        raise ValueError("not a cursor")
    return direction == "p", values


def _is_plain(value: object) -> bool:
    """Whether a database takes the value: no NUL, no half of a surrogate pair."""
    if isinstance(value, str):
        return "\x00" not in value and not SURROGATE.search(value)
    return type(value) is int and abs(value) < 2**63


PAGING = frozenset({"cursor", "before", "after", "limit"})


def write_links(
    request: HttpRequest,
    response: HttpResponse,
    links: dict[str, dict[str, Any]],
    *,
    paging: Collection[str] = PAGING,
) -> None:
    """Sets the Link header. The targets are relative, so they hold behind any proxy.

    They keep the parameters of the request, except those that say where a page is.
    """
    kept = {key: value for key, value in request.GET.items() if key not in paging}
    path = escape_uri_path(request.path)  # a room's name may be in any script
    targets = [f'<{path}?{urlencode(kept | where)}>; rel="{rel}"' for rel, where in links.items()]
    if targets:
        response["Link"] = ", ".join(targets)
