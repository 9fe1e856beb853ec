"""`manage.py purge_sessions`: sign-ins that are over, forgotten for good."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from accounts.models import Session
from accounts.selectors import over_for

CHUNK = 5000
"""Rows per transaction: those who sign in meanwhile wait for one chunk at most."""
MAX_AGE_DAYS = 36_500


class Command(BaseCommand):
    help = "Delete sessions that ended, or whose last token ran out"

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than-days",
            type=int,
            default=30,
            metavar="N",
            help="only those that were over at least N days ago (default: 30)",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        days: int = options["older_than_days"]
        # A day at least: the repair of every process looks for those that ended lately.
        if not 1 <= days <= MAX_AGE_DAYS:
            raise CommandError(f"--older-than-days must be between 1 and {MAX_AGE_DAYS}")
        deleted = 0
        while chunk := list(over_for(days).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
            deleted += Session.objects.filter(pk__in=chunk).delete()[0]
        self.stdout.write(f"Deleted {deleted} sessions.")
