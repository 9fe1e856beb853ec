"""Admin of users and sign-ins, and what the admin pages of all apps share.

Every page must open at once over millions of rows: nothing counts a whole table, searches name
exactly what they look for, and no filter asks for what no index answers.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from typing_extensions import override

from . import selectors, sessions
from .kernel.admin import (
    MAX_MATCHES,
    MAX_SUGGESTIONS,
    Ambiguous,
    CappedPaginator,
    ReadOnlyAdmin,
    only_match,
    suggestion,
)
from .kernel.errors import NoSuchSession
from .kernel.moderation import Link, ModeratedAdmin, StaffAction, link_to, read_id, related
from .kernel.names import check_name, name_key, search_key
from .models import Session, User, email_key
from .selectors import starts_with

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    # Django's own classes take no parameters while running.
    UsersAdmin = DjangoUserAdmin[User]
    CreationForm = AdminUserCreationForm[User]
    ChangeForm = UserChangeForm[User]
else:
    UsersAdmin, CreationForm, ChangeForm = DjangoUserAdmin, AdminUserCreationForm, UserChangeForm


admin.site.site_header = admin.site.site_title = "Chat administration"
admin.site.index_title = "People, rooms and messages"


def find_person(text: str) -> User | None:
    """A user by name, else the only one whose name begins so. Raises Ambiguous."""
    key = name_key(text)
    user = User.objects.filter(username_key=key).first()
    if user is not None or not key:
        return user
    return only_match(User.objects.filter(starts_with("username_key", key))[: MAX_SUGGESTIONS + 1])


def found_by_person(
    page: ReadOnlyAdmin[M], request: HttpRequest, rows: QuerySet[M], text: str
) -> tuple[QuerySet[M], bool]:
    """The rows of the one user that a search names."""
    if not (term := text.strip()):
        return rows, False
    try:
        user = find_person(term.removeprefix("@"))
    except Ambiguous as refusal:
        if request.method == "GET":
            page.message_user(request, suggestion(refusal), messages.WARNING)
        return rows.none(), False
    return rows.filter(user=user) if user else rows.none(), False


# Users


def end_sessions(chosen: Iterable[Session]) -> int:
    """How many of them there still were to end."""
    ended = 0
    for session in chosen:
        with suppress(NoSuchSession):
            sessions.end_session(user_id=session.user_id, session_id=session.pk)
            ended += 1
    return ended


def _free_email(email: str, user: User) -> str:
    """Raises ValidationError for somebody else's: what is unique is the key, which no form has."""
    others = User.objects.exclude(pk=user.pk)
    if email and others.filter(email_key=email_key(email)).exists():
        raise forms.ValidationError("This e-mail address has an account already")
    return email


class UserAddForm(CreationForm):
    class Meta:
        model = User
        fields = ("username", "email")

    @override
    def clean_username(self) -> str:
        try:
            username = check_name(self.cleaned_data["username"])
        except ValueError as error:
            raise forms.ValidationError(f"The name {error}") from error
        if User.objects.filter(username_key=name_key(username)).exists():
            raise forms.ValidationError("This username is taken")
        return username

    def clean_email(self) -> str:
        return _free_email(self.cleaned_data["email"], self.instance)


class UserEditForm(ChangeForm):
    class Meta:
        model = User
        fields = "__all__"

    def clean_email(self) -> str:
        return _free_email(self.cleaned_data["email"], self.instance)


@admin.register(User)
class UserAdmin(ModeratedAdmin[User], UsersAdmin):
    """Usernames are never reused: a user can be deactivated, but neither renamed nor deleted."""

    form = UserEditForm
    add_form = UserAddForm
    list_display = ("id", "username", "email", "display_name", "is_active", "is_staff", "last_seen")
    list_display_links = ("id", "username")
    list_filter = ()
    search_fields = ("username",)
    search_help_text = (
        "The beginning of a username or display name; or an e-mail address or an id, in full"
    )
    column_help: ClassVar = {
        "Username": "The name that others see and mention. It never changes and is never reused.",
        "Display name": "A name that people choose for themselves. Several may have the same.",
        "Is active": "Off: the account is locked, its sessions ended and its connections closed.",
        "Is staff": "May sign in here, and do what its permissions allow.",
        "Last seen": "When the last open connection was closed. Empty: never yet.",
    }
    field_help: ClassVar = {
        "username": "Fixed for good, and never given to somebody else.",
        "display_name": "Shown beside the username. Several people may have the same.",
        "email": "For signing in instead of the username. Nobody has confirmed it.",
        "is_active": "Switch off to lock the account: its sessions end and its sockets close at "
        "once. What it wrote stays.",
        "is_staff": "May sign in to these pages, and do what the permissions below allow.",
        "is_superuser": "Has every permission without it being listed.",
        "last_login": "The last sign-in to these pages.",
        "last_seen": "When the last open connection was closed.",
    }
    ordering = ("-id",)
    sortable_by = ()
    paginator = CappedPaginator
    show_full_result_count = False
    readonly_fields = ("username", "last_login", "last_seen", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "display_name", "email")}),
        (
            "Permissions",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
        ("Dates", {"fields": ("date_joined", "last_login", "last_seen")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "email", "usable_password", "password1", "password2"),
            },
        ),
    )

    @override
    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return False

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        # Ids first: an OR of two ranges with the order of a third column would walk the table.
        begins = (
            starts_with("username_key", name_key(term)),
            starts_with("display_key", search_key(term)),
            Q(email_key=email_key(term)),
        )
        found = {pk for one in begins for pk in self._ids(one)}
        return queryset.filter(pk__in=found | {read_id(term) or 0}), False

    def _ids(self, wanted: Q) -> QuerySet[User, int]:
        return User.objects.filter(wanted).values_list("pk", flat=True)[:MAX_MATCHES]

    @override
    def related_links(self, request: HttpRequest, row: User) -> list[Link]:
        person = f"@{row.username}"
        return [
            *related(request, "Rooms", "rooms.member", person),
            *related(request, "Bans", "rooms.ban", person),
            *related(request, "Messages", "messaging.message", person),
            *related(request, "Sessions", "accounts.session", row.username),
        ]

    @override
    def get_readonly_fields(
        self, request: HttpRequest, obj: User | None = None
    ) -> list[str] | tuple[str, ...]:
        if obj is None:
            return ()
        if self._is_superuser(request):
            return self.readonly_fields
        # Else whoever may edit users could make a superuser of himself.
        powers = ("is_staff", "is_superuser", "groups", "user_permissions")
        return (*self.readonly_fields, *powers)

    @override
    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuses users with permissions that the staff member lacks.

        Also asked before a password is set. With it, or by an e-mail address, staff could sign in
        as that user, and so give themselves the permissions.
        """
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or self._covers(request, obj)

    def _covers(self, request: HttpRequest, user: User) -> bool:
        if self._is_superuser(request):
            return True
        if user.is_superuser:
            return False
        return selectors.permission_names(user) <= request.user.get_all_permissions()

    def _is_superuser(self, request: HttpRequest) -> bool:
        return bool(getattr(request.user, "is_superuser", False))

    @override
    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


# Sessions


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin[Session]):
    list_display = ("id", "person", "created_at", "last_used_at", "ip", "ended_at")
    list_select_related = ("user",)
    search_fields = ("user",)
    search_help_text = "A username, or the beginning of one"
    column_help: ClassVar = {
        "Person": "Who signed in. The link leads to the account.",
        "Created at": "When they signed in.",
        "Last used at": "When the sign-in was renewed last.",
        "Ip": "The address from which they signed in.",
        "Ended at": "When it was ended, by logging out or here. Empty: it may still be used.",
    }
    field_labels: ClassVar = {"ip": "Address", "user_agent": "Program"}
    field_help: ClassVar = {
        "created_at": "When this person signed in.",
        "last_used_at": "When the sign-in was used last to get new tokens.",
        "rotated_at": "When the refresh token was replaced last.",
        "ended_at": "Empty: it may still be used.",
        "user_agent": "What the device said about itself. It can claim anything.",
    }
    fields = ("user", "created_at", "last_used_at", "rotated_at", "ended_at", "user_agent", "ip")
    staff_actions = (
        StaffAction[Session](
            name="end_sessions",
            button="End this session",
            list_label="End the selected sessions",
            permission="accounts.change_session",
            effect="The device is signed out at once and its connections are closed.",
            done="ended",
            perform=lambda _, session: bool(end_sessions([session])),
            confirm=False,
            applies=lambda session: session.ended_at is None,
            log_on=lambda session: session.user,
        ),
    )

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Session], search_term: str
    ) -> tuple[QuerySet[Session], bool]:
        return found_by_person(self, request, queryset, search_term)

    @admin.display(description="person")
    def person(self, session: Session) -> str:
        return link_to(session.user, session.user.username)

    @override
    def name_of(self, row: Session) -> str:
        return f"Session {row.pk} of {row.user.username}"


# What staff did


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin[LogEntry]):
    """Kept by Django; for staff with the permission to view log entries."""

    list_display = ("id", "action_time", "by", "content_type", "about", "what")
    list_select_related = ("user", "content_type")
    search_fields = ("user",)
    search_help_text = "The username of a member of staff, or the beginning of one"
    fields = ("action_time", "user", "content_type", "about", "what")
    readonly_fields = ("about", "what")
    column_help: ClassVar = {
        "By": "The member of staff who did it.",
        "Content type": "What kind of thing it was done to.",
        "About": "The room, message or account as it was called then. The link leads to it.",
        "What": "What was done. Texts of messages are never kept here.",
    }

    @admin.display(description="by")
    def by(self, entry: LogEntry) -> str:
        return link_to(entry.user, entry.user.username)

    @admin.display(description="about")
    def about(self, entry: LogEntry) -> str:
        url = entry.get_admin_url()
        return (
            format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr
        )

    @admin.display(description="what")
    def what(self, entry: LogEntry) -> str:
        verb = {ADDITION: "Added. ", DELETION: "Deleted. "}.get(entry.action_flag, "")
        return f"{verb}{entry.get_change_message()}"

    @override
    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LogEntry], search_term: str
    ) -> tuple[QuerySet[LogEntry], bool]:
        return found_by_person(self, request, queryset, search_term)
