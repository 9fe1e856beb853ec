"""One way to write: a transaction, and on SQLite a place in this process's queue for it.

SQLite has one write lock. Threads that meet at it poll with growing sleeps, up to a tenth of a
second each; two hundred strangers joining one room took twenty seconds, three of them work. A lock
of our own wakes the next thread at once. Other processes still meet at SQLite's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from .errors import Busy
from .sqlite_checkpoints import checkpoints

WAIT_TIMEOUT = 20.0
"""Seconds, as long as SQLite itself is told to wait (`config.settings`)."""

_write_lock = threading.RLock()


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that will write. Raises Busy when its turn does not come."""
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        with transaction.atomic():
            yield
        return
    if not _write_lock.acquire(timeout=WAIT_TIMEOUT):
        raise Busy
    try:
        with transaction.atomic():
            yield
        checkpoints.note_commit(connection.settings_dict["NAME"])
    finally:
        _write_lock.release()
