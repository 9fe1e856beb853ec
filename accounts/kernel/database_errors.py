"""Turns a database error into the refusal that clients get.

A database that lacks migrations answers like a broken one. Clients and the log get the sentence
that names the missing command instead.
"""

import logging
from contextlib import suppress

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from .errors import Busy

log = logging.getLogger(__name__)

MISSING_MIGRATIONS = "The database lacks migrations: run python manage.py migrate"
MIGRATIONS_DELAY = 5.0
"""Seconds that clients wait before they try again: somebody has to type the command."""
SQLITE_PHRASES = ("no such table", "no such column", "has no column named")
POSTGRESQL_STATES = ("42P01", "42703")
"""undefined_table and undefined_column."""

_logged: set[str] = set()


def refusal_of(error: Exception) -> Busy | None:
    """The refusal for an error of the database; None when the error is a fault of ours."""
    return Busy() if isinstance(error, OperationalError | InterfaceError) else None


def migrations_refusal(error: Exception) -> Busy | None:
    """The refusal for an error that comes from missing migrations; None for any other error.

    For programs it is `busy`, since all they can do is wait; the sentence is for the operator.
    """
    # The plan is read from disk, so only for an error that a missing migration explains.
    if _names_missing_schema(error):
        with suppress(Error):
            if lacks_migrations():
                return Busy(MISSING_MIGRATIONS, retry_after=MIGRATIONS_DELAY)
    return None


def missing_migrations() -> list[str]:
    """The migrations that this database lacks. Raises django.db.Error when it does not answer."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def lacks_migrations() -> bool:
    """Checks the database, and logs what it lacks once for each process. Raises django.db.Error."""
    missing = missing_migrations()
    if missing and not _logged:
        _logged.add(missing[0])
        log.error(
            "The database lacks %d migrations, the first is %s. Run: python manage.py migrate",
            len(missing),
            missing[0],
        )
    return bool(missing)


def _names_missing_schema(error: Exception) -> bool:
    if not isinstance(error, DatabaseError):
        return False
    if getattr(error.__cause__, "sqlstate", None) in POSTGRESQL_STATES:
        return True
    return any(phrase in str(error) for phrase in SQLITE_PHRASES)
