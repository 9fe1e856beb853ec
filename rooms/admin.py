"""Admin of rooms, members and bans: what staff see of them, and what they may do, by services."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from typing_extensions import override

from accounts.admin import find_person
from accounts.kernel.admin import (
    MAX_MATCHES,
    MAX_SUGGESTIONS,
    Ambiguous,
    LargeTableAdmin,
    ReadOnlyAdmin,
    only_match,
    suggestion,
)
from accounts.kernel.moderation import (
    Link,
    StaffAction,
    link_to,
    list_url,
    log_action,
    read_id,
    related,
)
from accounts.kernel.names import name_key, search_key
from accounts.models import User
from accounts.selectors import starts_with

from . import membership, services
from .models import Ban, Member, Role, Room, RoomKind

M = TypeVar("M", bound=Model)

SEARCH_HELP = "A room by the beginning of its name or by #id, a person by @username, or both"
NAMED = (RoomKind.PUBLIC, RoomKind.GROUP)

if TYPE_CHECKING:
    BanModelForm = forms.ModelForm[Ban]
else:
    BanModelForm = forms.ModelForm


class Nowhere(Exception):
    """A search names a room or a person that is not there."""


def read_search(text: str) -> tuple[Room | None, User | None]:
    """The room and the person that a search names. Raises Nowhere, Ambiguous.

    Names hold neither `#` nor `@`, so one word can mean one thing only.
    """
    room: Room | None = None
    user: User | None = None
    for word in text.split():
        if word.startswith("@"):
            user = _or_nowhere(find_person(word[1:]))
        elif word.startswith("#"):
            room = _or_nowhere(Room.objects.filter(pk=read_id(word[1:]) or 0).first())
        else:
            room = _or_nowhere(find_room(word))
    return room, user


def _or_nowhere(row: M | None) -> M:
    if row is None:
        raise Nowhere
    return row


def find_room(text: str) -> Room | None:
    """A room by name, else the only one whose name or title begins so. Raises Ambiguous."""
    exact = Room.objects.filter(name_key=name_key(text))
    # One that still exists goes before the deleted ones of the same name.
    room = exact.order_by(F("deleted_at").desc(nulls_first=True), "-pk").first()
    if room is not None:
        return room
    existing = Room.objects.filter(deleted_at=None)
    walks = [existing.filter(one)[: MAX_SUGGESTIONS + 1] for one in beginnings(text)]
    return only_match(room for walk in walks for room in walk)


def beginnings(text: str) -> list[Q]:
    """Rooms whose name, and rooms whose title begins so: each a range of an index."""
    return [
        Q(kind__in=NAMED) & starts_with("name_key", name_key(text)),
        Q(kind__in=NAMED) & starts_with("title_key", search_key(text)),
    ]


def room_name(room: Room) -> str:
    """As staff read it in lists: a private room by its two people."""
    name = " and ".join(room.pair_names or [str(room)])
    return f"{name} (deleted)" if room.deleted_at else name


class SearchableAdmin(LargeTableAdmin[M]):
    """Rows of a room, of a person, or of both; each found by an index."""

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
        except Nowhere:
            return queryset.none(), False
        except Ambiguous as refusal:
            if request.method == "GET":
                self.message_user(request, suggestion(refusal), messages.WARNING)
            return queryset.none(), False

    def searched(self, rows: QuerySet[M], text: str) -> QuerySet[M]:
        """Raises Nowhere, Ambiguous."""
        return self.found(rows, *read_search(text))

    def found(self, rows: QuerySet[M], room: Room | None, user: User | None) -> QuerySet[M]:
        """At least one of the two is given."""
        if room is not None:
            rows = rows.filter(room=room)
        return rows.filter(user=user) if user is not None else rows


# Rooms


def _delete_room(staff_id: int, room: Room) -> bool:
    if room.deleted_at is not None:
        return False
    services.delete_room(user_id=staff_id, room_id=room.pk, as_staff=True)
    return True


@admin.register(Room)
class RoomAdmin(SearchableAdmin[Room], ReadOnlyAdmin[Room]):
    """Title and topic of public rooms may be changed, all rooms deleted."""

    list_display = ("id", "shown", "kind", "members", "messages", "active_at", "deleted_at")
    list_display_links = ("id", "shown")
    list_select_related = ("low", "high")
    list_filter = ("kind",)
    search_help_text = (
        "The beginning of a name or title, #id, or @username for the rooms of a person"
    )
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
            effect="The room disappears for all of its members and cannot be brought back; open "
            "connections to it are closed at once. Its messages are no longer shown to anybody, "
            "staff included, and the command purge_rooms erases them. The name is free for a new "
            "room that somebody creates on purpose; connecting to the old address does not create "
            "one. The two people of a private room may open a new, empty one.",
            done="deleted",
            perform=_delete_room,
            applies=lambda room: room.deleted_at is None,
        ),
    )
    column_help: ClassVar = {
        "Name": "Public rooms and groups have one that never changes. A private room shows its "
        "two people.",
        "Kind": "Public: anybody may read and write. Group: members only. Private: two people.",
        "Members": "How many people belong to it. The link lists them.",
        "Messages": "How many messages were sent there. The link shows them.",
        "Active at": "When the last message was sent.",
        "Deleted at": "Empty: the room exists.",
    }
    field_labels: ClassVar = {
        "low": "First person",
        "high": "Second person",
        "member_count": "Members",
        "last_seq": "Messages",
        "access_epoch": "Losses of membership",
    }
    field_help: ClassVar = {
        "name": "Part of the room's address, so it never changes.",
        "kind": "Public: anybody may read and write. Group: members only. Private: two people.",
        "low": "Of a private room.",
        "high": "Of a private room.",
        "title": "Shown above the room. Open rooms show a change at once.",
        "topic": "What the room is about.",
        "last_seq": "How many were sent, deleted ones included.",
        "version": "How many changes were stored: messages, edits, deletions and reactions.",
        "access_epoch": "How often somebody left, was removed or was banned.",
        "created_by": "Who made the room. That alone gives no rights; the members' roles do.",
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
        """Titles hold spaces, so all that is neither #id nor @username is one beginning."""
        special = [word for word in text.split() if word[0] in "#@"]
        beginning = " ".join(word for word in text.split() if word[0] not in "#@")
        if beginning:
            # Ids first: an OR of two ranges in the order of a third column would walk the table.
            found = {
                pk
                for one in beginnings(beginning)
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
        """By the service, which tells the open sockets."""
        services.change_room(
            user_id=request.user.pk or 0, room_id=obj.pk, title=obj.title, topic=obj.topic
        )


def link_to_list(model: str, room: Room, count: int) -> str:
    return format_html('<a href="{}">{}</a>', list_url(model, f"#{room.pk}"), count)


def ban_link(request: HttpRequest, room: Room, user: User | None = None) -> list[Link]:
    """The form that bans somebody from a public room, filled in as far as is known."""
    if (
        room.kind != RoomKind.PUBLIC
        or room.deleted_at
        or not request.user.has_perm("rooms.add_ban")
    ):
        return []
    known = {"room": f"#{room.pk}"} | ({"user": user.username} if user else {})
    label = "Ban the sender" if user else "Ban somebody"
    url = f"{reverse('admin:rooms_ban_add')}?{urlencode(known)}"
    return [Link(label, url, "From this room. Opens a form.")]


# Members


def _remove_member(staff_id: int, member: Member) -> bool:
    membership.remove_member(
        user_id=staff_id, room_id=member.room_id, username=member.user.username, as_staff=True
    )
    return True


def _give(role: Role) -> Callable[[int, Member], bool]:
    def perform(staff_id: int, member: Member) -> bool:
        if member.role == role:
            return False
        membership.change_role(
            user_id=staff_id,
            room_id=member.room_id,
            username=member.user.username,
            role=role,
            as_staff=True,
        )
        return True

    return perform


def _role_action(role: Role, label: str, effect: str) -> StaffAction[Member]:
    return StaffAction(
        name=f"make_{role.value}",
        button=label,
        list_label=f"{label} of the room",
        permission="rooms.change_member",
        effect=effect,
        done=f"made {role.value}",
        perform=_give(role),
        confirm=False,
        applies=lambda member: member.room.kind != RoomKind.PRIVATE and member.role != role,
        log_on=lambda member: member.room,
    )


@admin.register(Member)
class MemberAdmin(SearchableAdmin[Member], ReadOnlyAdmin[Member]):
    list_display = ("id", "in_room", "person", "role", "read_up_to", "muted", "joined_at")
    list_select_related = ("room", "room__low", "room__high", "user")
    fields = ("room", "user", "role", "last_read_seq", "muted", "joined_at")
    staff_actions = (
        StaffAction[Member](
            name="remove_members",
            button="Remove from the room",
            list_label="Remove from the room",
            permission="rooms.delete_member",
            effect="They lose the room at once and their connections to it are closed. From a "
            "public room this is a ban as well, which can be lifted. Into a group an owner or "
            "admin has to add them again. What they wrote stays. The last owner of a group cannot "
            "be removed.",
            done="removed",
            perform=_remove_member,
            applies=lambda member: member.room.kind != RoomKind.PRIVATE,
            log_on=lambda member: member.room,
        ),
        _role_action(
            Role.OWNER,
            "Make owner",
            "An owner gives roles, removes anybody and may delete the room. A room may have "
            "several.",
        ),
        _role_action(
            Role.ADMIN,
            "Make admin",
            "An admin adds and removes plain members, deletes messages and changes title and "
            "topic.",
        ),
        _role_action(
            Role.MEMBER,
            "Make plain member",
            "A plain member reads and writes. The last owner of a group stays owner.",
        ),
    )
    column_help: ClassVar = {
        "Room": "The link leads to the room.",
        "Person": "The link leads to the account.",
        "Role": "Owner: may do everything in the room. Admin: looks after members and messages. "
        "Member: reads and writes.",
        "Read up to": "The number of the last message that this person has read there.",
        "Muted": "This person wants no notifications from the room.",
    }
    field_labels: ClassVar = {"user": "Person", "last_read_seq": "Read up to message number"}
    field_help: ClassVar = {
        "role": column_help["Role"],
        "muted": column_help["Muted"],
    }

    @admin.display(description="room")
    def in_room(self, member: Member) -> str:
        return link_to(member.room, room_name(member.room))

    @admin.display(description="person")
    def person(self, member: Member) -> str:
        return link_to(member.user, member.user.username)

    @admin.display(description="read up to")
    def read_up_to(self, member: Member) -> int:
        return member.last_read_seq

    @override
    def describe(self, row: Member) -> str:
        return f"{row.user.username}, {row.role} of {room_name(row.room)}"

    @override
    def name_of(self, row: Member) -> str:
        return f"{row.user.username} in {row.room}"

    @override
    def related_links(self, request: HttpRequest, row: Member) -> list[Link]:
        search = f"#{row.room_id} @{row.user.username}"
        return related(request, "Messages of this member", "messaging.message", search)


# Bans


def _lift_ban(staff_id: int, ban: Ban) -> bool:
    return membership.lift_ban(user_id=staff_id, room_id=ban.room_id, banned_id=ban.user_id)


BAN_EFFECT = (
    "The person can no longer read or write in this public room, whether they are a member or not. "
    "Their connections to it are closed at once. The ban can be lifted."
)


class BanForm(BanModelForm):
    """A person and a room, typed: there are too many to choose from a list."""

    room = forms.CharField(
        help_text="The name of a public room, or # and its id.", widget=AdminTextInputWidget
    )
    user = forms.CharField(
        label="Person", help_text="The username, in full.", widget=AdminTextInputWidget
    )

    class Meta:
        model = Ban
        fields = ("room", "user")

    def clean_room(self) -> Room:
        text = self.cleaned_data["room"].strip()
        rooms = Room.objects.filter(deleted_at=None)
        known = Q(pk=read_id(text[1:]) or 0) if text[0] == "#" else Q(name_key=name_key(text))
        room = rooms.filter(known).first()
        if room is None:
            raise forms.ValidationError("There is no such room")
        return room

    def clean_user(self) -> User:
        name = self.cleaned_data["user"].strip().removeprefix("@")
        user = User.objects.filter(username_key=name_key(name)).first()
        if user is None:
            raise forms.ValidationError("There is no such user")
        return user


@admin.register(Ban)
class BanAdmin(SearchableAdmin[Ban], ReadOnlyAdmin[Ban]):
    """Bans of public rooms. Adding the person as a member lifts one as well."""

    list_display = ("id", "in_room", "person", "created_at")
    list_select_related = ("room", "user")
    form = BanForm
    staff_actions = (
        StaffAction[Ban](
            name="lift_bans",
            button="Lift this ban",
            list_label="Lift the selected bans",
            permission="rooms.delete_ban",
            effect="The person may come back to the room.",
            done="lifted",
            perform=_lift_ban,
            confirm=False,
            log_on=lambda ban: ban.room,
        ),
    )
    column_help: ClassVar = {
        "Room": "The public room that the person may neither read nor write in.",
        "Person": "The link leads to the account.",
        "Created at": "Since when.",
    }
    field_labels: ClassVar = {"user": "Person", "created_at": "Since"}

    @admin.display(description="room")
    def in_room(self, ban: Ban) -> str:
        return link_to(ban.room, room_name(ban.room))

    @admin.display(description="person")
    def person(self, ban: Ban) -> str:
        return link_to(ban.user, ban.user.username)

    @override
    def name_of(self, row: Ban) -> str:
        return f"Ban of {row.user.username} in {row.room}"

    @override
    def describe(self, row: Ban) -> str:
        return self.name_of(row)

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Ban | None = None) -> Any:
        if obj is not None:
            return [(None, {"fields": ("room", "user", "created_at")})]
        return [(None, {"fields": ("room", "user"), "description": BAN_EFFECT})]

    @override
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("rooms.add_ban")

    @override
    def save_model(self, request: HttpRequest, obj: Ban, form: Any, change: bool) -> None:
        ban = membership.ban_user(
            user_id=request.user.pk or 0, room_id=obj.room_id, username=obj.user.username
        )
        obj.pk = ban.pk

    @override
    def response_add(
        self, request: HttpRequest, obj: Ban, post_url_continue: str | None = None
    ) -> HttpResponseRedirect:
        self.message_user(request, f"Banned {obj.user} from {obj.room}", messages.SUCCESS)
        again = "_addanother" in request.POST
        return HttpResponseRedirect(request.path if again else list_url("rooms_ban"))

    @override
    def log_addition(self, request: HttpRequest, obj: Ban, message: Any) -> LogEntry:
        """On the room: the ban may be lifted again, and its row is gone then."""
        text = f"{obj.user.username} in {obj.room}: banned"
        return log_action(request.user.pk or 0, obj.room, text)
