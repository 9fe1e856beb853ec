"""Giving a pooled connection back while something else is waited for."""

from django.db import connection


def release_connection() -> None:
    """Before a long wait: whoever keeps a connection of the pool meanwhile keeps others from it.

    SQLite has no pool, and within a transaction the connection is needed.
    """
    if connection.vendor != "sqlite" and not connection.in_atomic_block:
        connection.close()
