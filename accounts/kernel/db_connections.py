"""Returns a pooled connection before a long wait."""

from django.db import connection


def release_connection() -> None:
    """Returns this thread's connection to the pool, for other requests.

    SQLite has no pool, and a transaction needs its connection.
    """
    if connection.vendor != "sqlite" and not connection.in_atomic_block:
        connection.close()
