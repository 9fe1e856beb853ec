"""`manage.py follow` runs the followers in a process of their own."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from prometheus_client import start_http_server
from typing_extensions import override

from config.followers import followers
from config.postgres import bound_work


class Command(BaseCommand):
    help = (
        "Follow stored changes and send pushes, in a process of its own. Several may run: one "
        "works and another takes over. For servers with CHAT_FOLLOWER=command"
    )

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--metrics-port",
            type=int,
            metavar="PORT",
            help="serve the metrics of this process on 127.0.0.1:PORT",
        )

    @override
    def handle(self, *args: Any, metrics_port: int | None, **options: Any) -> None:
        if settings.CHAT_FOLLOWER == "off":
            raise CommandError("CHAT_FOLLOWER is off: set it to command")
        if not settings.REDIS_URLS:
            raise CommandError(
                "REDIS_URL is not set, and only through Redis this process knows who has an open "
                "socket: set it, or let the server follow (CHAT_FOLLOWER=server)"
            )
        bound_work()
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        if metrics_port is not None:
            start_http_server(metrics_port, addr="127.0.0.1")
        running = followers()
        for follower in running:
            follower.start()
        self.stdout.write("Following; stop with Ctrl-C.")
        self.stdout.flush()
        stopping.wait()
        for follower in running:
            follower.stop()
