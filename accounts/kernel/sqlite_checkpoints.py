"""Runs SQLite's checkpoints in a thread of their own, beside the writers.

Otherwise the commit that fills the log to 4,000 pages copies them all and syncs the database, and
every sender waits 15 to 70 ms. The thread copies less and earlier, after each hundredth commit. A
passive checkpoint (https://sqlite.org/wal.html#ckpt) neither waits nor blocks. The automatic
checkpoint stays on as a fallback: it finds little left to copy and restarts the log.
"""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

log = logging.getLogger(__name__)

COMMITS = 100
"""A commit during a checkpoint waits for the disk: with few senders, less than 1 % of messages."""
MIN_INTERVAL = 0.5


class Checkpoints:
    """Counts commits and runs a checkpoint in a thread after each hundredth."""

    def __init__(self) -> None:
        self._commits = 0
        self._is_due = threading.Event()
        self._database: Path | str = ""
        self._thread: threading.Thread | None = None

    def note_commit(self, database: Path | str) -> None:
        """Counts a commit to the file `database`. Called by one thread at a time."""
        self._commits += 1
        if self._commits < COMMITS:
            return
        self._commits = 0
        self._database = database
        self._is_due.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # Nothing is lost: the automatic checkpoint copies the log.
            log.warning("No thread for checkpoints: %s", error)

    def _run(self) -> None:
        while self._is_due.wait():
            # Not at once: the messages just committed are being delivered.
            time.sleep(MIN_INTERVAL)
            self._is_due.clear()
            try:
                checkpoint(self._database)
            except (sqlite3.Error, OSError) as error:
                # The automatic checkpoint copies the rest.
                log.debug("No checkpoint now: %s", error)


def checkpoint(database: Path | str) -> None:
    """Copies the log into the database and syncs it. Raises sqlite3.Error.

    Its own connection does not create a database that was deleted.
    """
    address = f"{Path(database).absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


checkpoints = Checkpoints()
