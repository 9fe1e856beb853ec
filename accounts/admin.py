"""Admin of users and sign-ins, and what the admin pages of all apps share.

Every page must open at once over millions of rows: nothing counts a whole table, searches name
exactly what they look for, and no filter asks for what no index answers.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from . import selectors, sessions
from .errors import NoSuchSession
from .models import Session, User, email_key
from .names import check_name, name_key
from .schemas import LARGEST_ID

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    # Django's own classes take no parameters while running.
    ModelAdmin = admin.ModelAdmin[M]
    UsersAdmin = DjangoUserAdmin[User]
    CreationForm = AdminUserCreationForm[User]
    ChangeForm = UserChangeForm[User]
    RowPaginator = Paginator[Any]
else:
    from typing import Generic

    class ModelAdmin(admin.ModelAdmin, Generic[M]):
        pass

    UsersAdmin, CreationForm, ChangeForm = DjangoUserAdmin, AdminUserCreationForm, UserChangeForm
    RowPaginator = Paginator

MOST_COUNTED = 10_000
MOST_AT_ONCE = 1000


class CappedPaginator(RowPaginator):
    """Counts to MOST_COUNTED and no further: older rows are found by searching, not by paging."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:MOST_COUNTED].count()


class LargeTableAdmin(ModelAdmin[M]):
    """A list over a table of any size, newest first."""

    ordering = ("-id",)
    sortable_by = ()
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 100

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Hand-made query strings may not ask for what would scan the table."""
        return lookup.partition("__")[0] in self.list_filter


class ReadOnlyAdmin(LargeTableAdmin[M]):
    """To look at. Rows change through the services, so that rules hold and sockets hear of it."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def read_id(text: str) -> int | None:
    """`12`; None for what is no id."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID))):
        return None
    return min(int(text), LARGEST_ID)


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
class UserAdmin(UsersAdmin):
    """Usernames are never reused: a user can be deactivated, but neither renamed nor deleted."""

    form = UserEditForm
    add_form = UserAddForm
    list_display = ("id", "username", "email", "display_name", "is_active", "is_staff", "last_seen")
    list_display_links = ("id", "username")
    list_filter = ()
    search_fields = ("username",)
    search_help_text = "A username, an e-mail address or an id, in full"
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

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(username_key=name_key(term)) | Q(email_key=email_key(term))
        if (pk := read_id(term)) is not None:
            wanted |= Q(pk=pk)
        return queryset.filter(wanted), False

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

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False


# Sessions


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin[Session]):
    list_display = ("id", "user", "created_at", "last_used_at", "ip", "ended_at")
    list_select_related = ("user",)
    search_fields = ("user",)
    search_help_text = "A username, in full"
    fields = ("user", "created_at", "last_used_at", "rotated_at", "ended_at", "user_agent", "ip")
    actions = ("end_sessions",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Session], search_term: str
    ) -> tuple[QuerySet[Session], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        user = User.objects.filter(username_key=name_key(term)).first()
        return queryset.filter(user=user) if user else queryset.none(), False

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_session")

    @admin.action(description="End the selected sessions", permissions=["end"])
    def end_sessions(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Their tokens stop working and their sockets close."""
        chosen = list(queryset.filter(ended_at=None)[: MOST_AT_ONCE + 1])
        if len(chosen) > MOST_AT_ONCE:
            self.message_user(request, f"At most {MOST_AT_ONCE} sessions at once", messages.ERROR)
            return
        self.message_user(request, f"{end_sessions(chosen)} sessions ended")
