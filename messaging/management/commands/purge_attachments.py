"""`manage.py purge_attachments` deletes expired files, as running servers do."""

from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from messaging.attachments.expiry import erase_expired


class Command(BaseCommand):
    help = "Delete the files of deleted messages, and uploads that no message took in 24 hours"

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Deleted {erase_expired()} files.")
