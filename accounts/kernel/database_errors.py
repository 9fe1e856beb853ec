"""Turns a database error into the refusal that clients receive.

A database without its migrations fails like a broken one, so the refusal and the log name the
missing command.
"""

import logging
from contextlib import suppress

from django.db import DatabaseError, Error, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from .errors import Busy

log = logging.getLogger(__name__)

MISSING_MIGRATIONS = "The database lacks migrations: run python manage.py migrate"
MIGRATIONS_DELAY = 5.0
"""Seconds until clients retry: an operator has to run the command."""
SQLITE_PHRASES = ("no such table", "no such column", "has no column named")
POSTGRESQL_STATES = ("42P01", "42703")
"""undefined_table and undefined_column."""

_logged: set[str] = set()


def refusal_of(error: Exception) -> Busy | None:
    """Returns the refusal for an error of the database, None for a bug of ours."""
    return Busy() if isinstance(error, OperationalError | InterfaceError) else None


def migrations_refusal(error: Exception) -> Busy | None:
    """Returns the refusal when missing migrations caused the error, else None.

    Its code is `busy`, because programs can only wait; its sentence is for the operator.
    """
    # Reading the plan takes the disk, so only errors about the schema get here.
    if _names_missing_schema(error):
        with suppress(Error):
            if lacks_migrations():
                return Busy(MISSING_MIGRATIONS, retry_after=MIGRATIONS_DELAY)
    return None


def missing_migrations() -> list[str]:
    """Returns the migrations that this database lacks. Raises django.db.Error."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


def lacks_migrations() -> bool:
    """Checks for missing migrations and logs once per process.

    Raises django.db.Error.
    """
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
