"""Defines each consumer's position in each room, and the log of later changes."""

from typing import ClassVar

from django.db import models
from typing_extensions import override

from rooms.models import Room


class Follower(models.Model):
    """A consumer of stored changes: its lease and its place in the logs.

    `holder` runs the consumer until `expires_at`. All changes with ids up to `message_id` and
    `change_id` have been handled, so only rooms with a higher id are looked at.
    """

    name = models.CharField(max_length=32, primary_key=True)
    holder = models.CharField(max_length=32, blank=True, default="")
    expires_at = models.DateTimeField(null=True)
    message_id = models.PositiveBigIntegerField(default=0)
    change_id = models.PositiveBigIntegerField(default=0)

    @override
    def __str__(self) -> str:
        return self.name


class Cursor(models.Model):
    """The version of a room up to which a consumer has handled its changes."""

    id = models.BigAutoField(primary_key=True)
    # The constraint leads with `consumer` and is its index.
    consumer = models.ForeignKey(Follower, on_delete=models.CASCADE, db_index=False)
    # Without a constraint: its check would lock the room's row, for which senders wait.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_constraint=False)
    version = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["consumer", "room"], name="cursor_once"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.consumer_id} at version {self.version} of room {self.room_id}"


class LaterChange(models.Model):
    """An edit, deletion, reaction or pin, by which followers find rooms.

    New messages need no row: their own ids rise. A row is written under the lock of its room, like
    the change itself, and deleted once every follower has passed it.
    """

    id = models.BigAutoField(primary_key=True)
    # A number, not a foreign key: it is read once and never joined.
    room_id = models.PositiveBigIntegerField()
    version = models.PositiveBigIntegerField()

    @override
    def __str__(self) -> str:
        return f"version {self.version} of room {self.room_id}"
