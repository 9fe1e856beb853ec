"""Defines push subscriptions and the pushes that are due."""

import hashlib
from typing import ClassVar

from django.db import models
from django.utils import timezone
from typing_extensions import override

from accounts.models import Session, User
from rooms.models import Room


def endpoint_digest(endpoint: str) -> str:
    """Returns an endpoint's unique key; its URL is too long for an index."""
    return hashlib.sha256(endpoint.encode()).hexdigest()


class PushSubscription(models.Model):
    """A browser's address for pushes, valid as long as its session.

    `failures` and `retry_at` hold back a device whose push service fails, in all rooms.
    """

    id = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(Session, on_delete=models.CASCADE)
    # The session's user: members of a room are joined with their devices.
    user = models.ForeignKey(User, on_delete=models.CASCADE, db_index=False)
    endpoint = models.TextField()
    endpoint_digest = models.CharField(max_length=64, unique=True, editable=False)
    # Of the endpoint: `request_slots.py` passes over the devices of a slow one.
    host = models.TextField(editable=False)
    p256dh = models.CharField(max_length=128)
    auth = models.CharField(max_length=32)
    created_at = models.DateTimeField(default=timezone.now)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            # GET /push/subscriptions, and the devices of a room's members.
            models.Index(fields=["user", "-id"], name="subscription_by_user"),
        ]

    @override
    def __str__(self) -> str:
        return f"push subscription {self.pk} of user {self.user_id}"


class DuePush(models.Model):
    """A push that one device may need for one room, from `due_at` on.

    The row says that there may be something up to `wanted_seq`; what is sent is decided when it is
    due, from the messages and the read marker of that moment. `since` is the time from which a
    failing push is given up after a day. After a push the row stays until the next one is allowed.
    """

    id = models.BigAutoField(primary_key=True)
    # The constraint leads with `subscription` and is its index.
    subscription = models.ForeignKey(PushSubscription, on_delete=models.CASCADE, db_index=False)
    # Without a constraint: its check would lock the room's row, for which senders wait.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_constraint=False)
    wanted_seq = models.PositiveBigIntegerField()
    pushed_seq = models.PositiveBigIntegerField(default=0)
    due_at = models.DateTimeField()
    since = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscription", "room"], name="due_push_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="due_push_by_time"),
        ]

    @override
    def __str__(self) -> str:
        return f"push of room {self.room_id} to subscription {self.subscription_id}"
