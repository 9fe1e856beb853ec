"""Looks at an installation and says in plain sentences what is wrong and how to mend it."""

import logging
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from config.doctor.finding import Finding, Level, examine
from config.doctor.rounds import checks

EACH_TIMEOUT = 15.0


class Command(BaseCommand):
    help = (
        "Checks settings, database, migrations, Redis, hints and clocks; with --url also proxy, "
        "WebSockets and pages as people reach them. Exit code 1 when something is wrong."
    )
    requires_system_checks = ()  # they are among the checks, and must not end the others

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", help="where people reach it, such as https://chat.example.com")
        parser.add_argument(
            "--timeout", type=float, default=EACH_TIMEOUT, help="seconds for each check"
        )

    @override
    def handle(self, *args: Any, url: str | None, timeout: float, **options: Any) -> None:
        if url is not None and not _is_url(url):
            raise CommandError("--url must look like https://chat.example.com")
        # What libraries would log is what the findings say, and a traceback helps nobody here.
        logging.disable(logging.CRITICAL)
        try:
            found = Counter(self._tell(*one) for one in examine(checks(url), timeout))
        finally:
            logging.disable(logging.NOTSET)
        bad, doubtful, good = (found[level] for level in (Level.WRONG, Level.WARNING, Level.OK))
        self.stdout.write(f"\nWrong: {bad}, warnings: {doubtful}, ok: {good}.")
        if found[Level.WRONG]:
            sys.exit(1)

    def _tell(self, name: str, finding: Finding) -> Level:
        style = {
            Level.OK: self.style.SUCCESS,
            Level.WARNING: self.style.WARNING,
            Level.WRONG: self.style.ERROR,
        }[finding.level]
        self.stdout.write(f"{style(f'{finding.level:8}')} {name:13} {finding.sentence}")
        self.stdout.flush()
        return finding.level


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path in ("", "/")
