"""SQLite's log goes into its database beside those who write, not by the hand of one of them.

Left alone, the commit that makes the log 4,000 pages long copies them all and syncs the database,
while everybody waits who has something to say: 15 to 70 ms. So a thread does the same earlier and
with less, after each hundredth commit. A passive checkpoint (https://sqlite.org/wal.html#ckpt)
waits for nobody and holds nobody up. The commits keep their own as a net: then little is left to
copy, and the log begins anew.
"""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

log = logging.getLogger(__name__)

COMMITS = 100
"""A commit that meets a checkpoint waits with it for the disk: where few speak, less than one
message in a hundred.
"""
MIN_INTERVAL = 0.5


class Checkpoints:
    def __init__(self) -> None:
        self._commits = 0
        self._is_due = threading.Event()
        self._database: Path | str = ""
        self._thread: threading.Thread | None = None

    def note_commit(self, database: Path | str) -> None:
        """`database` is its file. Called by one thread at a time."""
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
            # What is committed is committed, whoever copies it: the commits themselves have to.
            log.warning("No thread for checkpoints: %s", error)

    def _run(self) -> None:
        while self._is_due.wait():
            # And not at once: what was committed just now is on its way to all who hear it.
            time.sleep(MIN_INTERVAL)
            self._is_due.clear()
            try:
                checkpoint(self._database)
            except (sqlite3.Error, OSError) as error:
                # The commits copy what is left, as they would without us.
                log.debug("No checkpoint now: %s", error)


def checkpoint(database: Path | str) -> None:
    """Copies what the log has and syncs it. Raises sqlite3.Error.

    With a connection of its own, which makes no database where there is none any more.
    """
    address = f"{Path(database).absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


checkpoints = Checkpoints()
