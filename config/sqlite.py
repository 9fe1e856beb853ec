"""SQLite files that nobody else on the host can read."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

PRIVATE_MODE = 0o600


class PrivateConnection(sqlite3.Connection):
    """Creates a missing database file for its owner alone.

    SQLite gives the -wal and -shm files the mode of the database. A file that exists keeps its
    mode: somebody may have shared it on purpose. Not by a umask, which would hold for all files
    and threads of the process.
    """

    def __init__(self, database: str, *args: Any, **kwargs: Any) -> None:
        if not database.startswith((":memory:", "file:")) and not Path(database).exists():
            with suppress(FileExistsError):
                os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_MODE))
        super().__init__(database, *args, **kwargs)
