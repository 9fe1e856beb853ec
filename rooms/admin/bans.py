"""Admin of bans: lists, banning, lifting."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import Q
from django.http import HttpRequest, HttpResponseRedirect
from typing_extensions import override

from accounts.kernel.admin import ReadOnlyAdmin
from accounts.kernel.moderation import StaffAction, link_to, list_url, log_action, read_id
from accounts.kernel.names import name_key
from accounts.models import User
from rooms import membership
from rooms.models import Ban, Room

from .links import room_name
from .search import SearchableAdmin

if TYPE_CHECKING:
    BanModelForm = forms.ModelForm[Ban]
else:
    BanModelForm = forms.ModelForm


def _lift_ban(staff_id: int, ban: Ban) -> bool:
    return membership.lift_ban(user_id=staff_id, room_id=ban.room_id, banned_id=ban.user_id)


BAN_EFFECT = (
    "The user can no longer read or write in this public room, member or not. Their connections to "
    "it are closed at once. The ban can be lifted."
)


class BanForm(BanModelForm):
    """Takes a user and a room as text: there are too many for a list."""

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
            raise forms.ValidationError("Room not found")
        return room

    def clean_user(self) -> User:
        name = self.cleaned_data["user"].strip().removeprefix("@")
        user = User.objects.filter(username_key=name_key(name)).first()
        if user is None:
            raise forms.ValidationError("User not found")
        return user


@admin.register(Ban)
class BanAdmin(SearchableAdmin[Ban], ReadOnlyAdmin[Ban]):
    """Lists bans of public rooms. Adding the user as a member also lifts a ban."""

    list_display = ("id", "in_room", "person", "created_at")
    list_select_related = ("room", "user")
    form = BanForm
    staff_actions = (
        StaffAction[Ban](
            name="lift_bans",
            button="Lift this ban",
            list_label="Lift the selected bans",
            permission="rooms.delete_ban",
            effect="The user may join the room again.",
            done="lifted",
            perform=_lift_ban,
            confirm=False,
            log_on=lambda ban: ban.room,
        ),
    )
    column_help: ClassVar = {
        "Room": "The public room that the user may neither read nor write in.",
        "Person": "The link leads to the account.",
        "Created at": "The time of the ban.",
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
        """Logs on the room, because lifting the ban deletes its row."""
        text = f"{obj.user.username} in {obj.room}: banned"
        return log_action(request.user.pk or 0, obj.room, text)
