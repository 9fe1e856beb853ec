"""Defines rooms, members and bans."""

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from typing_extensions import override

from accounts.kernel.model_fields import DisplayField, KeyField
from accounts.kernel.names import search_key, shared_start
from accounts.models import User


class RoomKind(models.TextChoices):
    PUBLIC = "public"
    GROUP = "group"
    PRIVATE = "private"


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class Notify(models.TextChoices):
    """Which messages of a room are pushed to a member."""

    ALL = "all"
    MENTIONS = "mentions"
    NONE = "none"


class Room(models.Model):
    """A public room, a group or a private conversation.

    The row is also the room's lock and its counters. A stored change locks the row, adds one to
    `version` (and to `last_seq` for a new message) and writes the change in one transaction, so the
    order of versions is the order of commits. `access_epoch` rises with every loss of membership
    and is part of every published frame: a process that receives a higher one checks again who may
    receive frames of the room.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=7, choices=RoomKind.choices)
    name = models.CharField(max_length=64, null=True)  # noqa: DJ001 - private rooms have none
    # Private rooms have none, which the types of KeyField do not know.
    name_key = KeyField(max_length=64, null=True, editable=False)  # type: ignore[misc]
    # The pair of a private room by rising id, so that either user opens the same room.
    # The constraint leads with `low` and is its index.
    low = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    high = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    title = DisplayField(max_length=200, blank=True, default="")
    title_key = KeyField(max_length=64, default="", editable=False)
    # How many characters the two keys begin with in common: see `kernel.name_search`.
    shared_prefix = models.PositiveSmallIntegerField(default=0, editable=False)
    topic = DisplayField(max_length=1000, blank=True, default="", lines=True)
    created_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    active_at = models.DateTimeField(default=timezone.now)
    member_count = models.PositiveIntegerField(default=0)
    last_seq = models.PositiveBigIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=0)
    access_epoch = models.PositiveBigIntegerField(default=0)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["name_key"], condition=Q(deleted_at=None), name="room_name_once"
            ),
            # After staff delete a private room, the two users may open a new one.
            models.UniqueConstraint(
                fields=["low", "high"], condition=Q(deleted_at=None), name="room_pair_once"
            ),
            models.CheckConstraint(
                name="room_is_named_or_a_pair",
                condition=Q(
                    kind=RoomKind.PRIVATE,
                    name_key=None,
                    name=None,
                    # A comparison with NULL passes the check.
                    low__isnull=False,
                    high__isnull=False,
                    low__lt=F("high"),
                )
                | Q(
                    ~Q(kind=RoomKind.PRIVATE),
                    name_key__isnull=False,
                    name__isnull=False,
                    low=None,
                    high=None,
                ),
            ),
            models.CheckConstraint(
                name="room_version_covers_seq", condition=Q(version__gte=F("last_seq"))
            ),
        ]
        indexes: ClassVar = [
            # Connecting by name, deleted rooms included: connecting does not create those again.
            # The admin's search, which shows those too, by the start of the name.
            models.Index(fields=["name_key"], name="room_by_name"),
            # GET /rooms: public rooms.
            models.Index(fields=["kind", "id"], name="room_by_kind"),
            # GET /rooms?q=: public rooms by name, and by title.
            models.Index(
                fields=["kind", "name_key", "id"],
                condition=Q(deleted_at=None),
                name="room_of_kind_by_name",
            ),
            models.Index(
                fields=["kind", "shared_prefix", "title_key", "id"],
                condition=Q(deleted_at=None),
                name="room_of_kind_by_title",
            ),
            # The admin's search, by the start of the title. For patterns only, so that on
            # PostgreSQL the search above cannot take it and drop rows by `shared_prefix`.
            models.Index(
                fields=["title_key"], opclasses=["varchar_pattern_ops"], name="room_by_title"
            ),
        ]

    @override
    def __str__(self) -> str:
        return self.name or f"private room {self.pk}"

    @override
    def save(self, *args: Any, **kwargs: Any) -> None:
        self.title_key = search_key(self.title)
        self.shared_prefix = shared_start(self.name_key or "", self.title_key)
        super().save(*args, **kwargs)

    @property
    def pair_names(self) -> list[str] | None:
        """The two usernames of a private room, None for other rooms."""
        return [self.low.username, self.high.username] if self.low and self.high else None

    def other_id(self, user_id: int) -> int | None:
        """Returns the receiver of this user's messages: the other user of a private room."""
        return other_of(user_id, self.low_id, self.high_id)


def other_of(user_id: int, low_id: int | None, high_id: int | None) -> int | None:
    """Returns the other user of a private room, None for other rooms."""
    return high_id if user_id == low_id else low_id


class Member(models.Model):
    """The membership of a user in a room, with role and read marker."""

    id = models.BigAutoField(primary_key=True)
    # No indexes of their own: those below lead with either, and SQLite would choose the worse one.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="members", db_index=False)
    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="memberships", db_index=False
    )
    role = models.CharField(max_length=6, choices=Role.choices, default=Role.MEMBER)
    last_read_seq = models.PositiveBigIntegerField(default=0)
    # Stored only when it is ahead of `last_read_seq`: what was read was delivered.
    delivered_seq = models.PositiveBigIntegerField(default=0)
    # Muted for good, or until `muted_until`.
    muted = models.BooleanField(default=False)
    muted_until = models.DateTimeField(null=True, blank=True)
    # With database defaults: `messaging.writer` inserts members by hand.
    notify = models.CharField(
        max_length=8, choices=Notify.choices, default=Notify.ALL, db_default=Notify.ALL
    )
    joined_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            # Also the index of the membership check at every send and connect.
            models.UniqueConstraint(fields=["room", "user"], name="member_once"),
        ]
        indexes: ClassVar = [
            # GET /my-rooms and /messages: the rooms of one user.
            models.Index(fields=["user", "room"], name="member_by_user"),
            # GET /rooms/{id}/members, by id.
            models.Index(fields=["room", "id"], name="member_by_room"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.role} {self.user_id} of room {self.room_id}"

    def is_muted(self, now: datetime) -> bool:
        return is_muted(muted=self.muted, until=self.muted_until, now=now)


def is_muted(*, muted: bool, until: datetime | None, now: datetime) -> bool:
    """Checks whether a room is muted for good, or still."""
    return muted and (until is None or until > now)


class Ban(models.Model):
    """A removal from a public room, which the next connect would undo without it.

    Users who are not members can be banned, too: every user may read and write in a public room.
    """

    id = models.BigAutoField(primary_key=True)
    # The constraint leads with `room` and is its index.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="bans", db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="bans")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["room", "user"], name="ban_once"),
        ]

    @override
    def __str__(self) -> str:
        return f"user {self.user_id} banned from room {self.room_id}"


class MembershipCounter(models.Model):
    """The number of changes of a user's memberships: see `membership_counters.py`."""

    # Only this row is locked when memberships change, not the user's.
    user = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="membership_counter"
    )
    value = models.PositiveBigIntegerField(default=0)

    @override
    def __str__(self) -> str:
        return f"{self.value} changes of memberships of user {self.user_id}"
