"""Runs daphne for `make run`, and prints a line when it listens."""

import logging
import sys
from typing import Any

from daphne.cli import CommandLineInterface
from typing_extensions import override

import config.asgi  # noqa: F401 - sets up logging, before the filter is added to it


class AnnounceListening(logging.Filter):
    """Prints daphne's record about listening as a plain line.

    Keeps warnings and errors. Daphne logs that record once the port is open, so the printed URL
    works.
    """

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith("Listening on TCP address"):
            return record.levelno >= logging.WARNING
        arguments: Any = record.args
        host, port = arguments
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"Listening on http://{shown}:{port}  (Ctrl-C stops)\n")
        sys.stdout.flush()
        return False


def main() -> None:
    server_log = logging.getLogger("daphne.server")
    server_log.setLevel(logging.INFO)
    server_log.addFilter(AnnounceListening())
    CommandLineInterface.entrypoint()


if __name__ == "__main__":
    main()
