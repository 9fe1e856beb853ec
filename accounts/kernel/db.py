"""Opens every transaction that writes, one at a time per process on SQLite.

SQLite has one write lock. Threads that wait for it poll with growing sleeps of up to a tenth of a
second: 200 users joining one room took 20 seconds. A lock of our own wakes the next thread at once.
Other processes still wait for SQLite's lock.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction

from .errors import Busy
from .sqlite_checkpoints import checkpoints

WAIT_TIMEOUT = 20.0
"""Seconds, the same as SQLite's own timeout (`config.settings`)."""

_write_lock = threading.RLock()
_of_thread = threading.local()


def thread_connection() -> Any:
    """Returns this thread's connection, as `django.db.connection` does.

    Django looks it up at each use of an attribute: a fifth of the CPU time of a lone message.
    """
    try:
        return _of_thread.connection
    except AttributeError:
        _of_thread.connection = connections[DEFAULT_DB_ALIAS]
        return _of_thread.connection


@contextmanager
def writing() -> Iterator[None]:
    """Opens a transaction that writes. Raises Busy after WAIT_TIMEOUT."""
    connection = thread_connection()
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
