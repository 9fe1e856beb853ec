"""Defines messages, files, reactions and mentions.

All counters are in the room: see `rooms.models.Room`. The tables of `follower` and `push` are
imported here, where Django looks for them.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from typing_extensions import override

from accounts.models import User
from rooms.models import Room

from .follower.models import Cursor, Follower, LaterChange
from .push.models import DuePush, PushSubscription

__all__ = [
    "ChangeKind",
    "Cursor",
    "DuePush",
    "Follower",
    "LaterChange",
    "Message",
    "PushSubscription",
    "Reaction",
]


class ChangeKind(models.TextChoices):
    """The kind of a message's latest change, which is the `type` of its frame."""

    MESSAGE = "message"
    EDIT = "edit"
    DELETE = "delete"
    REACTION = "reaction"
    PIN = "pin"


class Message(models.Model):
    """A message in its current state.

    It keeps its `seq`; every change gives it a new `version`. By `created_version` a replay
    distinguishes a new message from a change to an older one. `reactions` is the list of the answer
    (`[{emoji, count, users}]`). Each reaction changes it under the room's lock, so that a page
    costs one query for any number of reactions.
    """

    id = models.BigAutoField(primary_key=True)
    # No indexes of their own on room and sender: each would cost every insert, and the constraints
    # below serve all queries by room.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False)
    sender = models.ForeignKey(User, on_delete=models.PROTECT, db_index=False)
    seq = models.PositiveBigIntegerField()
    version = models.PositiveBigIntegerField()
    created_version = models.PositiveBigIntegerField()
    last_change = models.CharField(
        max_length=8, choices=ChangeKind.choices, default=ChangeKind.MESSAGE
    )
    content = models.TextField()
    # The words of `content` as searches compare them: see `search.words`.
    words = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted = models.BooleanField(default=False)
    # An id, not a foreign key: it is checked at the insert and never joined.
    reply_to = models.PositiveBigIntegerField(null=True, blank=True)
    client_id = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001 - none is not ""
    client_digest = models.CharField(max_length=32, blank=True, default="")
    reactions = models.JSONField(default=list, blank=True)
    # As `reactions`: the list of the answer, written with the message and emptied with it.
    attachments = models.JSONField(default=list, blank=True)
    # Ids of mentioned members; `Mention` has the same for counting.
    mentions = models.JSONField(default=list, blank=True)
    mentions_all = models.BooleanField(default=False)
    # The room's version at the pin, by which pins are ordered.
    pinned_version = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            # Pages of history, `before` and `after`; and each `seq` is used once.
            models.UniqueConstraint(fields=["room", "seq"], name="message_seq_once"),
            # Replay, resume and the repair: everything after a version.
            models.UniqueConstraint(fields=["room", "version"], name="message_version_once"),
            # A repeated send never creates a second message.
            models.UniqueConstraint(
                fields=["room", "sender", "client_id"],
                condition=Q(client_id__isnull=False),
                name="message_client_id_once",
            ),
        ]
        indexes: ClassVar = [
            # GET /rooms/{id}/pins. Messages that are not pinned take no space in it.
            models.Index(
                fields=["room", "pinned_version"],
                condition=Q(pinned_version__isnull=False),
                name="message_by_pin",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"message {self.seq} of room {self.room_id}"


class Attachment(models.Model):
    """An uploaded file, of a message or not yet of one.

    At `expires_at` the files are deleted, then the row: a day after the upload, or at once when the
    message is deleted. While a message has it, there is no such time. The row is written before the
    files (`is_stored` is false until then), so none of them outlives a crash unseen.
    """

    id = models.BigAutoField(primary_key=True)
    uploader = models.ForeignKey(User, on_delete=models.PROTECT)
    message = models.ForeignKey(Message, on_delete=models.PROTECT, null=True, blank=True)
    key = models.CharField(max_length=64)
    is_stored = models.BooleanField(default=False)
    name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=127)
    size = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField(null=True, blank=True)
    height = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            # What to erase: few rows at any time.
            models.Index(
                fields=["expires_at"],
                condition=Q(expires_at__isnull=False),
                name="attachment_expires",
            ),
        ]

    @override
    def __str__(self) -> str:
        return f"attachment {self.pk} of user {self.uploader_id}"

    @property
    def has_thumbnail(self) -> bool:
        return self.width is not None


class Reaction(models.Model):
    """One user's emoji on a message; `Message.reactions` counts these rows."""

    id = models.BigAutoField(primary_key=True)
    # The constraint leads with `message` and is its index.
    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    emoji = models.CharField(max_length=32)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "emoji", "user"], name="reaction_once"),
        ]

    @override
    def __str__(self) -> str:
        return f"{self.emoji} by user {self.user_id} on message {self.message_id}"


class Mention(models.Model):
    """A mention of a member, or of everyone (no `user`), for counting unread ones."""

    id = models.BigAutoField(primary_key=True)
    # The constraint leads with `room` and is its index. Users are never deleted.
    room = models.ForeignKey(Room, on_delete=models.CASCADE, db_index=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, db_index=False)
    seq = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar = [
            # Unread mentions of a member in a room; NULL is for everyone.
            models.UniqueConstraint(fields=["room", "user", "seq"], name="mention_once"),
        ]

    @override
    def __str__(self) -> str:
        return f"mention of {self.user_id or 'everyone'} in message {self.seq} of {self.room_id}"
