"""Admin of rooms, members and bans: to look at, with what staff may do to public rooms."""

from typing import Any, TypeVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest

from accounts.admin import LargeTableAdmin, ReadOnlyAdmin, read_id
from accounts.errors import DomainError
from accounts.models import User
from accounts.names import name_key

from . import services
from .models import Ban, Kind, Member, Room

M = TypeVar("M", bound=Model)

SEARCH_HELP = "A room by name or #id, a person by @username, or both: friends @ila"


class Nowhere(Exception):
    """A search names a room or a person that is not there."""


def read_search(text: str) -> tuple[Room | None, User | None]:
    """The room and the person that a search names. Raises Nowhere.

    Names hold neither `#` nor `@`, so one word can mean one thing only.
    """
    room: Room | None = None
    user: User | None = None
    for word in text.split():
        if word.startswith("@"):
            user = _or_nowhere(User.objects.filter(username_key=name_key(word[1:])))
        elif word.startswith("#"):
            room = _or_nowhere(Room.objects.filter(pk=read_id(word[1:]) or 0))
        else:
            rooms = Room.objects.filter(name_key=name_key(word))
            # One that still exists goes before the deleted ones of the same name.
            room = _or_nowhere(rooms.order_by(F("deleted_at").desc(nulls_first=True), "-pk"))
    return room, user


def _or_nowhere(rows: QuerySet[M]) -> M:
    row = rows.first()
    if row is None:
        raise Nowhere
    return row


class SearchableAdmin(LargeTableAdmin[M]):
    """Rows of a room, of a person, or of both; each found by an index."""

    search_fields = ("room",)
    search_help_text = SEARCH_HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[M], search_term: str
    ) -> tuple[QuerySet[M], bool]:
        if not search_term.strip():
            return queryset, False
        try:
            room, user = read_search(search_term)
        except Nowhere:
            return queryset.none(), False
        return self.found(queryset, room, user), False

    def found(self, rows: QuerySet[M], room: Room | None, user: User | None) -> QuerySet[M]:
        """At least one of the two is given."""
        if room is not None:
            rows = rows.filter(room=room)
        return rows.filter(user=user) if user is not None else rows


@admin.register(Room)
class RoomAdmin(SearchableAdmin[Room], ReadOnlyAdmin[Room]):
    """Title and topic of public rooms may be changed. Rooms are deleted through the API, so that
    their members hear of it: staff may do that with every public room.
    """

    list_display = ("id", "shown", "kind", "member_count", "last_seq", "active_at", "deleted_at")
    list_display_links = ("id", "shown")
    list_select_related = ("low", "high")
    list_filter = ("kind",)
    fieldsets = (
        (None, {"fields": ("name", "kind", "low", "high", "title", "topic")}),
        ("Counters", {"fields": ("member_count", "last_seq", "version", "access")}),
        ("Dates", {"fields": ("created_by", "created_at", "active_at", "deleted_at")}),
    )
    changeable = frozenset({"title", "topic"})

    @admin.display(description="name")
    def shown(self, room: Room) -> str:
        return " and ".join(room.pair_names or [str(room)])

    def found(self, rows: QuerySet[Room], room: Room | None, user: User | None) -> QuerySet[Room]:
        if room is not None:
            rows = rows.filter(pk=room.pk)
        return rows.filter(members__user=user) if user is not None else rows

    def has_change_permission(self, request: HttpRequest, obj: Room | None = None) -> bool:
        allowed = request.user.has_perm("rooms.change_room")
        return allowed and (obj is None or (obj.kind == Kind.PUBLIC and obj.deleted_at is None))

    def get_readonly_fields(self, request: HttpRequest, obj: Room | None = None) -> list[str]:
        fields = [name for _, options in self.fieldsets for name in options["fields"]]
        return [str(name) for name in fields if name not in self.changeable]

    def save_model(self, request: HttpRequest, obj: Room, form: Any, change: bool) -> None:
        """By the service, which tells the open sockets."""
        try:
            services.change_room(
                user_id=request.user.pk or 0, room_id=obj.pk, title=obj.title, topic=obj.topic
            )
        except DomainError as refusal:
            raise PermissionDenied(refusal.message) from refusal


@admin.register(Member)
class MemberAdmin(SearchableAdmin[Member], ReadOnlyAdmin[Member]):
    list_display = ("id", "room", "user", "role", "last_read_seq", "muted", "joined_at")
    list_select_related = ("room", "user")


@admin.register(Ban)
class BanAdmin(SearchableAdmin[Ban], ReadOnlyAdmin[Ban]):
    """Deleting a ban lets the person come back; adding them as a member lifts it as well."""

    list_display = ("id", "room", "user", "created_at")
    list_select_related = ("room", "user")

    def has_delete_permission(self, request: HttpRequest, obj: Ban | None = None) -> bool:
        return request.user.has_perm("rooms.delete_ban")
