"""Checks an installation and reports each problem with its remedy."""

import logging
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from config.doctor.checks import checks
from config.doctor.finding import Finding, Level, run_checks

CHECK_TIMEOUT = 15.0


class Command(BaseCommand):
    help = (
        "Checks settings, database, migrations, Redis, broadcasts and clocks; with --url also the "
        "proxy, WebSockets and pages, through the public URL. Exit code 1 when something is wrong."
    )
    requires_system_checks = ()  # the doctor runs them itself, so that they cannot end it early

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", help="public URL, such as https://chat.example.com")
        parser.add_argument(
            "--timeout", type=float, default=CHECK_TIMEOUT, help="seconds for each check"
        )

    @override
    def handle(self, *args: Any, url: str | None, timeout: float, **options: Any) -> None:
        if url is not None and not _is_url(url):
            raise CommandError("--url must look like https://chat.example.com")
        # The findings already report what libraries would log, and without tracebacks.
        logging.disable(logging.CRITICAL)
        try:
            found = Counter(
                self._print(name, finding) for name, finding in run_checks(checks(url), timeout)
            )
        finally:
            logging.disable(logging.NOTSET)
        self.stdout.write(
            f"\nWrong: {found[Level.WRONG]}, warnings: {found[Level.WARNING]}, "
            f"ok: {found[Level.OK]}."
        )
        if found[Level.WRONG]:
            sys.exit(1)

    def _print(self, name: str, finding: Finding) -> Level:
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
