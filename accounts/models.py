"""Users, and the sign-ins behind their tokens."""

from typing import Any, ClassVar

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils import timezone

from .names import check_name, name_key, search_key
from .transactions import writing


class UserQuerySet(models.QuerySet["User"]):
    def update(self, **fields: Any) -> int:
        """Django's own; users who are deactivated at a stroke lose their sessions as one does."""
        from .sessions import end_sessions_of_inactive  # noqa: PLC0415 - it needs these models

        if fields.get("is_active", True) is True:
            return super().update(**fields)
        with writing():
            updated = super().update(**fields)
            end_sessions_of_inactive()
        return updated


class UserManager(BaseUserManager["User"]):
    def get_queryset(self) -> UserQuerySet:
        return UserQuerySet(self.model, using=self._db)

    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        """Stores a user; the keys follow from the names. Raises ValueError for a bad name."""
        user = self.model(username=check_name(username), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(username, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """By username or e-mail, in any case: what the admin's login form asks for."""
        return self.get(Q(username_key=name_key(username or "")) | Q(email_key=email_key(username)))


def email_key(email: str | None) -> str | None:
    """The form in which e-mail addresses are compared; None when there is none."""
    return email.strip().casefold() if email else None


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Rows are never deleted, so that a username is never somebody else's later."""

    id = models.BigAutoField(primary_key=True)
    # Unique by its key already; Django's own check of USERNAME_FIELD wants to see it here.
    username = models.CharField(max_length=64, unique=True)
    username_key = models.CharField(max_length=64, unique=True, editable=False)
    email = models.EmailField(blank=True, default="")
    email_key = models.CharField(max_length=254, unique=True, null=True, editable=False)  # noqa: DJ001 - many have none
    display_name = models.CharField(max_length=100, blank=True, default="")
    display_key = models.CharField(max_length=64, default="", editable=False)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    last_seen = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        indexes: ClassVar = [
            # GET /users?q=: by the start of the display name. That of the username has its own,
            # and on PostgreSQL one for patterns, as each unique text has.
            models.Index(
                fields=["display_key"], opclasses=["varchar_pattern_ops"], name="user_by_display"
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.username_key = name_key(self.username)
        self.email_key = email_key(self.email)
        self.display_key = search_key(self.display_name)
        super().save(*args, **kwargs)

    def check_password(self, raw_password: str | None) -> bool:
        """Django's own, but for hashes of fewer iterations than now: it stores a new one blindly,
        over a password that was changed while this one was checked.
        """

        def renew(password: str) -> None:
            checked, self.password = self.password, make_password(password)
            User.objects.filter(pk=self.pk, password=checked).update(password=self.password)

        return check_password(raw_password, self.password, renew)


class Session(models.Model):
    """One sign-in: the row that its access and refresh tokens stand on.

    `refresh_jti` names the one refresh token that is good now. `spent` are those that it replaced a
    moment ago, oldest first, as `[jti, jti of the successor, when]` with `when` in epoch seconds:
    each of them answers its successor for a short grace (contract §2, `/token/refresh`).
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
    spent = models.JSONField(default=list)
    rotated_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            # GET /sessions, ending all sessions of a user, and the admin's search by user, which
            # also finds those that ended.
            models.Index(fields=["user", "ended_at", "-id"], name="session_by_user"),
            # The repair asks once a second which sessions ended lately.
            models.Index(fields=["ended_at"], name="session_by_end"),
        ]

    def __str__(self) -> str:
        return f"session {self.pk} of user {self.user_id}"
