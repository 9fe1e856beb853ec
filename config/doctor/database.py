"""Checks the database: connection, durability, pool, migrations and clock."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error, connection

from accounts.kernel.database_errors import missing_migrations
from accounts.kernel.errors import Busy

from .clock import compare_clocks
from .finding import Finding, ok, warning, wrong

MIN_POSTGRES = 140_000
DATABASE_ERRORS = (Error, psycopg.Error, Busy)
NO_DATABASE = "Not checked: the database does not answer."
REASONS = {
    "password authentication": "wrong user or password",
    "does not exist": "no such database or user",
    "certificate": "its certificate is not trusted, see sslrootcert",
    "ssl": "TLS failed, see sslmode",
    "refused": "connection refused",
    "translate host": "unknown host name",
    "resolve host": "unknown host name",
    "timeout": "no answer",
    "too many clients": "it takes no more connections, see max_connections",
    "unable to open": "the file cannot be opened",
    "not a database": "the file is no SQLite database",
}
"""Part of a driver's error text, mapped to the reason that a finding gives."""


def check_database() -> Iterator[Finding]:
    try:
        _probe()
        started = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            milliseconds = (time.monotonic() - started) * 1000
            check = _sqlite if connection.vendor == "sqlite" else _postgres
            yield from check(cursor, milliseconds)
    except DATABASE_ERRORS as error:
        yield wrong(
            f"The database at {_address()} does not answer ({_reason(error)}). Start it, or "
            "correct DATABASE_URL."
        )
    finally:
        connection.close()


def _probe() -> None:
    """Connects to PostgreSQL without the pool, which would hide the reason."""
    if connection.vendor == "postgresql":
        params = connection.get_connection_params()
        psycopg.connect(**params | {"connect_timeout": 3}).close()


def _address() -> str:
    """Returns the database's address without user and password."""
    entry = settings.DATABASES["default"]
    host = ":".join(str(entry[key]) for key in ("HOST", "PORT") if entry.get(key))
    return f"{host}/{entry['NAME']}" if host else str(entry["NAME"])


def _reason(error: Exception) -> str:
    """Returns a reason in our words: the driver's text may quote the whole address."""
    text = str(error).lower()
    return next((reason for part, reason in REASONS.items() if part in text), type(error).__name__)


def _value(cursor: Any, statement: str) -> Any:
    cursor.execute(statement)
    return cursor.fetchone()[0]


def _sqlite(cursor: Any, milliseconds: float) -> Iterator[Finding]:
    version = _value(cursor, "SELECT sqlite_version()")
    mode = _value(cursor, "PRAGMA journal_mode")
    if mode != "wal":
        yield wrong(
            f"SQLite's journal mode is {mode}, not WAL: readers and writers block each other. Put "
            "the file on a local disk in a writable folder."
        )
    if _value(cursor, "PRAGMA synchronous") != 2:  # noqa: PLR2004 - FULL
        yield wrong(
            "SQLite does not sync its commits: a power cut loses messages. Keep the OPTIONS of "
            "config/settings.py."
        )
    yield ok(
        f"SQLite {version}, journal mode {mode}, answers in {milliseconds:.0f} ms. It serves one "
        "host only."
    )


def _postgres(cursor: Any, milliseconds: float) -> Iterator[Finding]:
    version = _value(cursor, "SHOW server_version")
    if int(_value(cursor, "SHOW server_version_num")) < MIN_POSTGRES:
        yield wrong(f"PostgreSQL {version} is too old: Django needs 14 or newer.")
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        if _value(cursor, f"SHOW {name}") == "off":
            yield wrong(
                f"PostgreSQL runs with {name}=off: a crash loses acknowledged messages. Switch it "
                "on."
            )
    yield from _encryption(cursor)
    yield from _pool(cursor)
    yield ok(f"PostgreSQL {version} answers in {milliseconds:.0f} ms.")


def _encryption(cursor: Any) -> Iterator[Finding]:
    host = settings.DATABASES["default"]["HOST"]
    is_local = not host or host.startswith(("/", "127.")) or host in ("localhost", "::1")
    sslmode = settings.DATABASES["default"]["OPTIONS"].get("sslmode", "prefer")
    encrypted = _value(cursor, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    if not is_local and not encrypted and sslmode == "prefer":
        yield warning(
            "The connection to PostgreSQL on another host is not encrypted. Unless that network is "
            "yours alone, add ?sslmode=verify-full to DATABASE_URL."
        )


def _pool(cursor: Any) -> Iterator[Finding]:
    pool = settings.DATABASES["default"]["OPTIONS"].get("pool")
    if not pool:
        yield wrong("Connections to PostgreSQL are not pooled: keep `pool` in OPTIONS.")
        return
    max_connections = int(_value(cursor, "SHOW max_connections"))
    reserved = int(_value(cursor, "SHOW superuser_reserved_connections"))
    max_processes = (max_connections - reserved) // pool["max_size"]
    if max_processes < 1:
        yield wrong(
            f"PostgreSQL takes {max_connections} connections and one server process may use "
            f"{pool['max_size']}: raise max_connections or lower CHAT_DATABASE_POOL."
        )
        return
    yield ok(
        f"A process uses up to {pool['max_size']} connections. PostgreSQL takes {max_connections}: "
        f"enough for {max_processes} processes."
    )


def check_migrations() -> Iterator[Finding]:
    try:
        _probe()
        missing = missing_migrations()
    except DATABASE_ERRORS:
        yield wrong(NO_DATABASE)
        return
    finally:
        connection.close()
    if missing:
        yield wrong(f"{len(missing)} migrations are missing. Run: python manage.py migrate")
    else:
        yield ok("All migrations are applied.")


def check_database_clock() -> Iterator[Finding]:
    if connection.vendor == "sqlite":
        yield ok("SQLite uses this machine's clock.")
        return
    try:
        _probe()
        with connection.cursor() as cursor:
            before = time.time()
            other = float(_value(cursor, "SELECT extract(epoch FROM clock_timestamp())"))
            yield compare_clocks("PostgreSQL", other, (before + time.time()) / 2)
    except DATABASE_ERRORS:
        yield wrong(NO_DATABASE)
    finally:
        connection.close()
