"""`manage.py purge_rooms` erases the messages of deleted rooms."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from typing_extensions import override

from accounts.kernel.db import writing
from messaging.attachments.services import release_files
from messaging.models import Mention, Message, Reaction
from rooms.models import Room

CHUNK = 5000
"""Messages per transaction: a send waits for at most one chunk."""
MAX_AGE_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "Erase the messages of deleted rooms. The rooms' rows stay, "
        "so that connecting does not create the rooms again"
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than-days",
            type=int,
            default=0,
            metavar="N",
            help="only rooms that were deleted at least N days ago (default: all)",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        days: int = options["older_than_days"]
        if not 0 <= days <= MAX_AGE_DAYS:
            raise CommandError(f"--older-than-days must be between 0 and {MAX_AGE_DAYS}")
        rooms = erased = 0
        for room in _rooms_to_purge(days):
            rooms += 1
            while count := _erase_chunk(room):
                erased += count
        self.stdout.write(f"Erased {erased} messages of {rooms} deleted rooms.")


def _rooms_to_purge(days: int) -> QuerySet[Room]:
    messages = Message.objects.filter(room=OuterRef("pk"))
    rooms = Room.objects.filter(Exists(messages), deleted_at__isnull=False).order_by("pk")
    return rooms.filter(deleted_at__lte=timezone.now() - timedelta(days=days)) if days else rooms


def _erase_chunk(room: Room) -> int:
    """Erases the oldest messages of a room and returns their number."""
    with writing():
        seqs = Message.objects.filter(room=room).order_by("seq").values_list("seq", flat=True)
        chunk = list(seqs[:CHUNK])
        if chunk:
            oldest = Message.objects.filter(room=room, seq__lte=chunk[-1])
            Reaction.objects.filter(message__in=oldest).delete()
            release_files(oldest.values("pk"))
            Mention.objects.filter(room=room, seq__lte=chunk[-1]).delete()
            oldest.only("pk").delete()
    return len(chunk)
