"""Runs daphne for `make run`: the same as the `daphne` command, and says when it listens."""

import logging
import sys
from typing import Any

from daphne.cli import CommandLineInterface
from typing_extensions import override

import config.asgi  # noqa: F401 - sets up logging, before the filter is added to it


class AnnounceListening(logging.Filter):
    """Turns daphne's own record into a line for people; all other records stay as they are.

    Daphne makes it when the socket is open, so nothing is announced that cannot be reached.
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
