"""Admin of users, sessions and the log of staff actions.

Every page must open at once over millions of rows: no page counts a whole table, and every search
and filter has an index.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, TypeVar

from django import forms
from django.conf import settings
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
# "View site" leads to the start page. Without pages there is no site to view.
admin.site.site_url = "/" if settings.CHAT_WEB else None


def find_person(text: str) -> User | None:
    """Returns a user by name or by a unique prefix. Raises Ambiguous."""
    key = name_key(text)
    user = User.objects.filter(username_key=key).first()
    if user is not None or not key:
        return user
    return only_match(User.objects.filter(starts_with("username_key", key))[: MAX_SUGGESTIONS + 1])


def found_by_person(
    page: ReadOnlyAdmin[M], request: HttpRequest, rows: QuerySet[M], text: str
) -> tuple[QuerySet[M], bool]:
    """Returns the rows of the user that a search names."""
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
    """Ends sessions and returns how many were still open."""
    ended = 0
    for session in chosen:
        with suppress(NoSuchSession):
            sessions.end_session(user_id=session.user_id, session_id=session.pk)
            ended += 1
    return ended


def _free_email(email: str, user: User) -> str:
    """Raises ValidationError for another user's address.

    The unique key is in no form.
    """
    others = User.objects.exclude(pk=user.pk)
    if email and others.filter(email_key=email_key(email)).exists():
        raise forms.ValidationError("This e-mail address is already in use")
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
    """Lets staff deactivate users, but neither rename nor delete them.

    Usernames are never reused.
    """

    form = UserEditForm
    add_form = UserAddForm
    list_display = ("id", "username", "email", "display_name", "is_active", "is_staff", "last_seen")
    list_display_links = ("id", "username")
    list_filter = ()
    search_fields = ("username",)
    search_help_text = "The start of a username or display name; or a complete e-mail address or id"
    column_help: ClassVar = {
        "Username": "The name that others see and mention. It never changes and is never reused.",
        "Display name": "Chosen by the user. Several users may have the same.",
        "Is active": "Off: the account is locked, its sessions ended and its connections closed.",
        "Is staff": "May sign in here, and do what its permissions allow.",
        "Last seen": "When a connection was last opened or closed, to the minute. Empty: never.",
    }
    field_help: ClassVar = {
        "username": "Never changes and is never given to another user.",
        "display_name": "Shown beside the username. Several users may have the same.",
        "email": "For signing in instead of the username. It is not verified.",
        "is_active": "Switch off to lock the account: its sessions end and its sockets close at "
        "once. Its messages stay.",
        "is_staff": "May sign in to these pages, and do what the permissions below allow.",
        "is_superuser": "Has every permission.",
        "last_login": "The last sign-in to these pages.",
        "last_seen": "When a connection was last opened or closed, to the minute.",
    }
    ordering = ("-id",)
    sortable_by = ()
    paginator = CappedPaginator
    show_full_result_count = False
    readonly_fields = ("username", "last_login", "last_seen", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "display_name", "email", "share_receipts")}),
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
        # Ids first: an OR of two ranges ordered by a third column would scan the table.
        filters = (
            starts_with("username_key", name_key(term)),
            starts_with("display_key", search_key(term)),
            Q(email_key=email_key(term)),
        )
        found = {pk for one in filters for pk in self._ids(one)}
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
        # Otherwise staff who may edit users could make themselves superusers.
        powers = ("is_staff", "is_superuser", "groups", "user_permissions")
        return (*self.readonly_fields, *powers)

    @override
    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Refuses users with permissions that the staff member lacks.

        Django checks this before a password is set, too. With the password or the e-mail address
        staff could sign in as that user and so gain the permissions.
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
    search_help_text = "The start of a username"
    column_help: ClassVar = {
        "Person": "The user who signed in. The link leads to the account.",
        "Created at": "When they signed in.",
        "Last used at": "When a request or connection last used it, to the minute.",
        "Ip": "The address from which they signed in.",
        "Ended at": "Empty: still open.",
    }
    field_labels: ClassVar = {"ip": "Address", "user_agent": "Program"}
    field_help: ClassVar = {
        "created_at": "When the user signed in.",
        "last_used_at": "When a request or connection last used it, to the minute.",
        "rotated_at": "When the refresh token was replaced last.",
        "ended_at": "Empty: the session is still open.",
        "user_agent": "As sent by the device. It can be anything.",
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


# The log of staff actions


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin[LogEntry]):
    """Shows Django's log entries to staff with the permission to view them."""

    list_display = ("id", "action_time", "by", "content_type", "about", "what")
    list_select_related = ("user", "content_type")
    search_fields = ("user",)
    search_help_text = "The start of a staff member's username"
    fields = ("action_time", "user", "content_type", "about", "what")
    readonly_fields = ("about", "what")
    column_help: ClassVar = {
        "By": "The staff member.",
        "Content type": "The kind of the changed object.",
        "About": "The room, message or account, by its name at the time. The link leads to it.",
        "What": "The action. Texts of messages are never kept here.",
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
