"""Creates SQLite files that only their owner can read."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

PRIVATE_MODE = 0o600


class PrivateConnection(sqlite3.Connection):
    """Creates a missing database file with mode 0600.

    SQLite gives the -wal and -shm files the same mode. An existing file keeps its mode, which may
    be shared on purpose. A umask would affect all files and threads of the process.
    """

    def __init__(self, database: str, *args: Any, **kwargs: Any) -> None:
        if not database.startswith((":memory:", "file:")) and not Path(database).exists():
            with suppress(FileExistsError):
                os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_MODE))
        super().__init__(database, *args, **kwargs)
