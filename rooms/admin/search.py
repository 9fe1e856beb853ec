"""Searches lists of the admin by room, by user, or by both."""

from typing import TypeVar

from django.contrib import messages
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts.admin import find_person
from accounts.kernel.admin import (
    MAX_SUGGESTIONS,
    Ambiguous,
    LargeTableAdmin,
    only_match,
    suggestion,
)
from accounts.kernel.moderation import read_id
from accounts.kernel.names import name_key, search_key
from accounts.models import User
from accounts.selectors import starts_with
from rooms.models import Room

M = TypeVar("M", bound=Model)

SEARCH_HELP = "A room by the start of its name or by #id, a user by @username, or both"


class NoMatch(Exception):
    """Raised when a search names a room or user that does not exist."""


def read_search(text: str) -> tuple[Room | None, User | None]:
    """Returns the room and the user that a search names. Raises NoMatch, Ambiguous.

    Names contain neither `#` nor `@`, so each word has one meaning.
    """
    room: Room | None = None
    user: User | None = None
    for word in text.split():
        if word.startswith("@"):
            user = _require(find_person(word[1:]))
        elif word.startswith("#"):
            room = _require(Room.objects.filter(pk=read_id(word[1:]) or 0).first())
        else:
            room = _require(find_room(word))
    return room, user


def _require(row: M | None) -> M:
    if row is None:
        raise NoMatch
    return row


def find_room(text: str) -> Room | None:
    """Returns a room by name or by a unique prefix of name or title.

    Raises Ambiguous.
    """
    exact = Room.objects.filter(name_key=name_key(text))
    # An existing room sorts before deleted ones of the same name.
    room = exact.order_by(F("deleted_at").desc(nulls_first=True), "-pk").first()
    if room is not None:
        return room
    existing = Room.objects.filter(deleted_at=None)
    walks = [existing.filter(one)[: MAX_SUGGESTIONS + 1] for one in prefix_filters(text)]
    return only_match(room for walk in walks for room in walk)


def prefix_filters(text: str) -> list[Q]:
    """Returns filters for the start of name and title: each a range of an index."""
    return [
        starts_with("name_key", name_key(text)),
        starts_with("title_key", search_key(text)),
    ]


class SearchableAdmin(LargeTableAdmin[M]):
    """Searches rows by room, by user, or by both; each search has an index."""

    search_fields = ("room",)
    search_help_text = SEARCH_HELP

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        if not search_term.strip():
            return queryset, False
        try:
            return self.searched(queryset, search_term), False
        except NoMatch:
            return queryset.none(), False
        except Ambiguous as refusal:
            if request.method == "GET":
                self.message_user(request, suggestion(refusal), messages.WARNING)
            return queryset.none(), False

    def searched(self, rows: QuerySet[M], text: str) -> QuerySet[M]:
        """Filters rows by a search. Raises NoMatch, Ambiguous."""
        return self.found(rows, *read_search(text))

    def found(self, rows: QuerySet[M], room: Room | None, user: User | None) -> QuerySet[M]:
        """Filters rows by room, user or both; at least one is given."""
        if room is not None:
            rows = rows.filter(room=room)
        return rows.filter(user=user) if user is not None else rows
