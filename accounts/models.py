"""Defines users and sessions, the rows behind their tokens."""

import secrets
from collections.abc import Collection
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac
from typing_extensions import override

from .kernel.db import writing
from .kernel.model_fields import DisplayField, KeyField
from .kernel.names import check_name, name_key, search_key, shared_start


def new_stamp() -> str:
    return secrets.token_hex(16)


class UserQuerySet(models.QuerySet["User"]):
    @override
    def update(self, **fields: Any) -> int:
        """Updates rows; ends the sessions of users who are deactivated or get a password."""
        from .sessions import end_sessions_of, end_sessions_of_inactive  # noqa: PLC0415 - it needs these models

        sets_password = "password" in fields
        if not sets_password and fields.get("is_active", True) is True:
            return super().update(**fields)
        with writing():
            changed: list[int] = []
            if sets_password:
                fields.setdefault("security_stamp", new_stamp())
                changed = list(self.select_for_update().values_list("pk", flat=True))
            updated = super().update(**fields)
            end_sessions_of(*changed)
            end_sessions_of_inactive()
        return updated


class UserManager(BaseUserManager["User"]):
    @override
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """Stores a user. Raises ValueError for an invalid name."""
        user = self.model(username=check_name(username), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(username, password, is_staff=True, is_superuser=True, **fields)

    def store_rehash(self, user_id: int, checked: str, renewed: str) -> bool:
        """Stores a new hash of the same password, unless the hash is no longer `checked`.

        This is the only write of `password` that ends no session.
        """
        rows = self.filter(pk=user_id, password=checked)
        return models.QuerySet.update(rows, password=renewed) == 1

    @override
    def get_by_natural_key(self, username: str | None) -> "User":
        """Finds a user by username or e-mail in any case, for the admin's login form."""
        return self.get(Q(username_key=name_key(username or "")) | Q(email_key=email_key(username)))


def email_key(email: str | None) -> str | None:
    """Returns the key by which e-mail addresses are compared, None without one."""
    return email.strip().casefold() if email else None


class User(AbstractBaseUser, PermissionsMixin):
    """A user.

    Rows are never deleted, so that no other user can take the username later.
    """

    id = models.BigAutoField(primary_key=True)
    # username_key is unique already; Django's check of USERNAME_FIELD needs `unique` here.
    username = models.CharField(max_length=64, unique=True)
    username_key = KeyField(max_length=64, unique=True, editable=False)
    email = models.EmailField(blank=True, default="")
    email_key = models.CharField(max_length=254, unique=True, null=True, editable=False)  # noqa: DJ001 - many have none
    display_name = DisplayField(max_length=100, blank=True, default="")
    display_key = KeyField(max_length=64, default="", editable=False)
    # How many characters the two keys begin with in common: see `kernel.name_search`.
    shared_prefix = models.PositiveSmallIntegerField(default=0, editable=False)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    # Changed by a new password and by logging out everywhere, not by a rehash. The admin's cookies
    # and logins in progress depend on it.
    security_stamp = models.CharField(max_length=32, default=new_stamp, editable=False)
    # `{start, end, timezone}` of `accounts.quiet_hours`, None without.
    quiet_hours = models.JSONField(null=True, blank=True)
    date_joined = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(null=True, blank=True)
    share_receipts = models.BooleanField(default=True)
    receipts_changed_at = models.DateTimeField(null=True, editable=False)
    """When `share_receipts` changed, so that each process finds it when the message is lost."""

    # The hash in the row, as this object last read or stored it.
    _stored_password: str | None = None

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        indexes: ClassVar = [
            # GET /users?q=, by the display name. The username has an index already.
            models.Index(
                fields=["shared_prefix", "display_key", "id"],
                condition=Q(is_active=True),
                name="user_by_shared_prefix",
            ),
            # The admin's search, which includes deactivated users. For patterns only, so that on
            # PostgreSQL the search above cannot take it and drop rows by `shared_prefix`.
            models.Index(
                fields=["display_key"], opclasses=["varchar_pattern_ops"], name="user_by_display"
            ),
            # accounts.selectors.changed_sharing, once a second; most users never change it.
            models.Index(
                fields=["receipts_changed_at"],
                condition=models.Q(receipts_changed_at__isnull=False),
                name="user_by_receipts_change",
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.username

    @classmethod
    @override
    def from_db(cls, *args: Any, **kwargs: Any) -> "User":
        user = super().from_db(*args, **kwargs)
        user._stored_password = user.__dict__.get("password")  # noqa: SLF001 - of this very class
        return user

    @override
    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        before = self.__dict__.get("password")
        super().refresh_from_db(*args, **kwargs)
        if self.__dict__.get("password") != before:
            self._stored_password = self.password

    @override
    def save(self, *args: Any, keep_session: int | None = None, **kwargs: Any) -> None:
        """Stores the user. A changed password ends all sessions except `keep_session`."""
        from .sessions import end_sessions_of  # noqa: PLC0415 - it needs these models

        self.username_key = name_key(self.username)
        self.email_key = email_key(self.email)
        self.display_key = search_key(self.display_name)
        self.shared_prefix = shared_start(self.username_key, self.display_key)
        if self._state.adding or kwargs.get("force_insert"):
            super().save(*args, **kwargs)
        else:
            fields = self._fields_to_store(kwargs.pop("update_fields", None))
            if "password" not in fields:
                super().save(*args, update_fields=fields, **kwargs)
                return
            self.security_stamp = new_stamp()
            with writing():
                super().save(*args, update_fields={*fields, "security_stamp"}, **kwargs)
                end_sessions_of(self.pk, keep=keep_session)
        self._stored_password = self.password

    def _fields_to_store(self, asked: Collection[str] | None) -> set[str]:
        """Leaves out the password unless this object changed it.

        Otherwise saving a whole row would undo the password change of a concurrent request.
        """
        if asked is None:
            deferred = self.get_deferred_fields()
            every = (one for one in self._meta.concrete_fields if not one.primary_key)
            fields = {one.name for one in every if one.attname not in deferred}
        else:
            fields = set(asked)
        changed = self.__dict__.get("password") != self._stored_password
        return fields - ({"security_stamp"} if changed else {"security_stamp", "password"})

    @override
    def get_session_auth_hash(self) -> str:
        """Returns the hash that the admin's cookies must match.

        It changes with the stamp.
        """
        return salted_hmac("accounts.User", self.security_stamp, algorithm="sha256").hexdigest()

    @override
    def check_password(self, raw_password: str | None) -> bool:
        """Checks the password and renews a hash with fewer iterations than configured.

        Django's own method stores the new hash over a password that changed meanwhile. A hash that
        was not stored is not kept in memory either: another login may have renewed it first.
        """

        def renew(password: str) -> None:
            renewed = make_password(password)
            if User.objects.store_rehash(self.pk, self.password, renewed):
                self.password = self._stored_password = renewed

        return check_password(raw_password, self.password, renew)

    @override
    async def acheck_password(self, raw_password: str | None) -> bool:
        return await sync_to_async(self.check_password)(raw_password)


class Session(models.Model):
    """A login: the row behind its access and refresh tokens.

    `refresh_jti` is the id of the one valid refresh token. `replaced` are the refresh tokens that
    were exchanged lately, oldest first, as `[jti, jti of the successor, time]` with the time in
    epoch seconds: each answers its successor within the grace (contract §2, `/token/refresh`).
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="sessions", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    user_agent = models.CharField(max_length=200, blank=True, default="")
    ip = models.GenericIPAddressField(null=True)
    refresh_jti = models.CharField(max_length=32)
    replaced = models.JSONField(default=list)
    rotated_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            # GET /sessions, ending all sessions of a user, and the admin's search by user, which
            # includes ended sessions.
            models.Index(fields=["user", "ended_at", "-id"], name="session_by_user"),
            # The repair reads once a second which sessions ended lately.
            models.Index(fields=["ended_at"], name="session_by_end"),
        ]

    @override
    def __str__(self) -> str:
        return f"session {self.pk} of user {self.user_id}"
