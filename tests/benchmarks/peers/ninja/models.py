"""The product's tables, as plain models that know none of its rules."""

from typing import Any, ClassVar

from django.db import models
from typing_extensions import override


class Row(models.Model):
    objects: ClassVar[models.Manager[Any]] = models.Manager()

    class Meta:
        abstract = True

    @override
    def __str__(self) -> str:
        return str(self.pk)


class User(Row):
    username = models.CharField(max_length=64)
    username_key = models.CharField(max_length=64, unique=True)
    email = models.CharField(max_length=254)
    password = models.CharField(max_length=128)

    class Meta:
        managed = False
        db_table = "accounts_user"


class Room(Row):
    kind = models.CharField(max_length=7)
    name = models.CharField(max_length=64, null=True)  # noqa: DJ001
    title = models.CharField(max_length=200)
    topic = models.CharField(max_length=1000)
    created_by_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    active_at = models.DateTimeField()
    member_count = models.PositiveIntegerField()
    last_seq = models.PositiveBigIntegerField()
    version = models.PositiveBigIntegerField()

    class Meta:
        managed = False
        db_table = "rooms_room"


class Member(Row):
    room = models.ForeignKey(Room, models.CASCADE)
    user = models.ForeignKey(User, models.CASCADE)
    role = models.CharField(max_length=6)
    last_read_seq = models.PositiveBigIntegerField()
    muted = models.BooleanField()

    class Meta:
        managed = False
        db_table = "rooms_member"


class Message(Row):
    room = models.ForeignKey(Room, models.CASCADE)
    sender = models.ForeignKey(User, models.CASCADE)
    seq = models.PositiveBigIntegerField()
    version = models.PositiveBigIntegerField()
    content = models.TextField()
    created_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True)
    deleted = models.BooleanField()
    reply_to = models.PositiveBigIntegerField(null=True)
    client_id = models.CharField(max_length=64, null=True)  # noqa: DJ001
    reactions = models.JSONField()

    class Meta:
        managed = False
        db_table = "messaging_message"


class Post(Row):
    """What `send` inserts: it has no counters and no lock."""

    room_id = models.BigIntegerField()
    sender_id = models.BigIntegerField()
    content = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "peer_post"
