"""Admin of rooms: lists, titles and topics, deletion."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from typing_extensions import override

from accounts.kernel.admin import MAX_MATCHES, ReadOnlyAdmin
from accounts.kernel.moderation import Link, StaffAction, related
from accounts.models import User
from rooms import services
from rooms.models import Room, RoomKind

from .links import ban_link, link_to_list, room_name
from .search import SearchableAdmin, prefix_filters, read_search


def _delete_room(staff_id: int, room: Room) -> bool:
    if room.deleted_at is not None:
        return False
    services.delete_room(user_id=staff_id, room_id=room.pk, as_staff=True)
    return True


@admin.register(Room)
class RoomAdmin(SearchableAdmin[Room], ReadOnlyAdmin[Room]):
    """Lets staff change title and topic of public rooms, and delete any room."""

    list_display = ("id", "shown", "kind", "members", "messages", "active_at", "deleted_at")
    list_display_links = ("id", "shown")
    list_select_related = ("low", "high")
    list_filter = ("kind",)
    search_help_text = "The start of a name or title, #id, or @username for the rooms of a user"
    fieldsets = (
        (None, {"fields": ("name", "kind", "low", "high", "title", "topic")}),
        ("Counters", {"fields": ("member_count", "last_seq", "version", "access_epoch")}),
        ("Dates", {"fields": ("created_by", "created_at", "active_at", "deleted_at")}),
    )
    changeable = frozenset({"title", "topic"})
    staff_actions = (
        StaffAction[Room](
            name="delete_rooms",
            button="Delete this room",
            list_label="Delete the selected rooms",
            permission="rooms.delete_room",
            effect="The room disappears for all of its members and cannot be restored; its open "
            "connections are closed at once. Its messages are no longer shown to anyone, staff "
            "included, and the command purge_rooms erases them. A new room may be created with "
            "the name; connecting to the old address does not create one. The two users of a "
            "private room may open a new, empty one.",
            done="deleted",
            perform=_delete_room,
            applies=lambda room: room.deleted_at is None,
        ),
    )
    column_help: ClassVar = {
        "Name": "The name of a public room or group never changes. A private room shows its two "
        "users.",
        "Kind": "Public: everyone may read and write. Group: members only. Private: two users.",
        "Members": "The number of members. The link lists them.",
        "Messages": "The number of messages sent. The link lists them.",
        "Active at": "When the last message was sent.",
        "Deleted at": "Empty: the room exists.",
    }
    field_labels: ClassVar = {
        "low": "First user",
        "high": "Second user",
        "member_count": "Members",
        "last_seq": "Messages",
        "access_epoch": "Losses of membership",
    }
    field_help: ClassVar = {
        "name": "Part of the room's address, so it never changes.",
        "kind": "Public: everyone may read and write. Group: members only. Private: two users.",
        "low": "Of a private room.",
        "high": "Of a private room.",
        "title": "Shown above the room. Clients see a change at once.",
        "topic": "The subject of the room.",
        "last_seq": "The number of messages sent, deleted ones included.",
        "version": "The number of stored changes: messages, edits, deletions, reactions and pins.",
        "access_epoch": "The number of times that a user left, was removed or was banned.",
        "created_by": "The creator. Rights come from the roles of members only.",
        "active_at": "When the last message was sent.",
        "deleted_at": "Empty: the room exists.",
    }

    @admin.display(description="name")
    def shown(self, room: Room) -> str:
        return " and ".join(room.pair_names or [str(room)])

    @admin.display(description="members")
    def members(self, room: Room) -> str:
        return link_to_list("rooms_member", room, room.member_count)

    @admin.display(description="messages")
    def messages(self, room: Room) -> str:
        return link_to_list("messaging_message", room, room.last_seq)

    @override
    def describe(self, row: Room) -> str:
        counts = f"{row.member_count} members, {row.last_seq} messages"
        return f"{room_name(row)} ({row.kind}): {counts}"

    @override
    def name_of(self, row: Room) -> str:
        return f"{row} (#{row.pk})" if row.name else str(row)

    @override
    def related_links(self, request: HttpRequest, row: Room) -> list[Link]:
        search = f"#{row.pk}"
        links = [
            *related(request, "Messages", "messaging.message", search),
            *related(request, "Members", "rooms.member", search),
        ]
        if row.kind == RoomKind.PUBLIC:
            links += [*related(request, "Bans", "rooms.ban", search), *ban_link(request, row)]
        return links

    @override
    def searched(self, rows: QuerySet[Room], text: str) -> QuerySet[Room]:
        """Takes words without # or @ as one prefix: titles have spaces."""
        special = [word for word in text.split() if word[0] in "#@"]
        prefix = " ".join(word for word in text.split() if word[0] not in "#@")
        if prefix:
            # Ids first: an OR of two ranges ordered by a third column would scan the table.
            found = {
                pk
                for one in prefix_filters(prefix)
                for pk in Room.objects.filter(one).values_list("pk", flat=True)[:MAX_MATCHES]
            }
            rows = rows.filter(pk__in=found)
        return self.found(rows, *read_search(" ".join(special)))

    @override
    def found(self, rows: QuerySet[Room], room: Room | None, user: User | None) -> QuerySet[Room]:
        if room is not None:
            rows = rows.filter(pk=room.pk)
        return rows.filter(members__user=user) if user is not None else rows

    @override
    def has_change_permission(self, request: HttpRequest, obj: Room | None = None) -> bool:
        allowed = request.user.has_perm("rooms.change_room")
        return allowed and (obj is None or (obj.kind == RoomKind.PUBLIC and obj.deleted_at is None))

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Room | None = None) -> list[str]:
        fields = [name for _, options in self.fieldsets for name in options["fields"]]
        return [str(name) for name in fields if name not in self.changeable]

    @override
    def save_model(self, request: HttpRequest, obj: Room, form: Any, change: bool) -> None:
        """Saves through the service, which publishes the change to open sockets."""
        services.change_room(
            user_id=request.user.pk or 0, room_id=obj.pk, title=obj.title, topic=obj.topic
        )
