"""Admin lists over tables of any size, shared by all apps."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from typing_extensions import override

from .moderation import ModeratedAdmin

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    # Django's own class takes no parameters while running.
    RowPaginator = Paginator[Any]
else:
    RowPaginator = Paginator

MAX_COUNTED = 10_000


MAX_MATCHES = 1000
"""Rows that a search by prefix shows, for each column."""


MAX_SUGGESTIONS = 5


class CappedPaginator(RowPaginator):
    """Counts no further than MAX_COUNTED.

    Older rows are found by search, not by paging.
    """

    @cached_property
    @override
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:MAX_COUNTED].count()


class LargeTableAdmin(ModeratedAdmin[M]):
    """A list over a table of any size, newest first."""

    show_facets = admin.ShowFacets.NEVER  # facets count the table once for each choice

    ordering = ("-id",)
    sortable_by = ()
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 100

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuses lookups of hand-made query strings, which could scan the table."""
        return lookup.partition("__")[0] in self.list_filter


class ReadOnlyAdmin(LargeTableAdmin[M]):
    """Shows rows read-only.

    Rows change through services, which check rules and publish events.
    """

    @override
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Ambiguous(Exception):
    """Raised when several rows match a prefix; holds some of their names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = sorted(names)
        super().__init__(", ".join(self.names))


def only_match(rows: Iterable[M]) -> M | None:
    """Returns the only row, or None. Raises Ambiguous when there are several."""
    found = {row.pk: row for row in rows}
    if len(found) > 1:
        raise Ambiguous(str(row) for row in list(found.values())[:MAX_SUGGESTIONS])
    return next(iter(found.values()), None)


def suggestion(refusal: Ambiguous) -> str:
    return f"Several names start with this: {refusal}. Enter more of the name"
