"""The database: does it answer, does it keep what it says it keeps, is its structure ours."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg
from django.conf import settings
from django.db import Error, connection

from accounts.kernel.database_errors import missing_migrations
from accounts.kernel.errors import Busy

from .clock import compare
from .finding import Finding, ok, warning, wrong

MIN_POSTGRES = 140_000
AWAY_ERRORS = (Error, psycopg.Error, Busy)
AWAY = "Cannot tell: the database does not answer."
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
"""Part of a driver's sentence, and what we say then."""


def look_at_database() -> Iterator[Finding]:
    try:
        _knock()
        started = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            took = (time.monotonic() - started) * 1000
            look = _sqlite if connection.vendor == "sqlite" else _postgres
            yield from look(cursor, took)
    except AWAY_ERRORS as error:
        yield wrong(
            f"The database at {_address()} does not answer ({_reason(error)}). Start it, or "
            "correct DATABASE_URL."
        )
    finally:
        connection.close()


def _knock() -> None:
    """One connection past the pool, which would keep us waiting and then not say why."""
    if connection.vendor == "postgresql":
        params = connection.get_connection_params()
        psycopg.connect(**params | {"connect_timeout": 3}).close()


def _address() -> str:
    """Without user and password."""
    entry = settings.DATABASES["default"]
    place = ":".join(str(entry[key]) for key in ("HOST", "PORT") if entry.get(key))
    return f"{place}/{entry['NAME']}" if place else str(entry["NAME"])


def _reason(error: Exception) -> str:
    """What the driver's sentences tell most often, in ours: theirs may quote the whole address."""
    text = str(error).lower()
    return next((said for part, said in REASONS.items() if part in text), type(error).__name__)


def _value(cursor: Any, statement: str) -> Any:
    cursor.execute(statement)
    return cursor.fetchone()[0]


def _sqlite(cursor: Any, took: float) -> Iterator[Finding]:
    version = _value(cursor, "SELECT sqlite_version()")
    mode = _value(cursor, "PRAGMA journal_mode")
    if mode != "wal":
        yield wrong(
            f"SQLite's journal is {mode}, not WAL: readers and writers stop each other. Put the "
            "file on a local disk where it may be written."
        )
    if _value(cursor, "PRAGMA synchronous") != 2:  # noqa: PLR2004 - FULL
        yield wrong(
            "SQLite does not sync its commits: a power cut loses messages. Keep our OPTIONS."
        )
    yield ok(f"SQLite {version}, journal {mode}, answers in {took:.0f} ms. One host is its limit.")


def _postgres(cursor: Any, took: float) -> Iterator[Finding]:
    version = _value(cursor, "SHOW server_version")
    if int(_value(cursor, "SHOW server_version_num")) < MIN_POSTGRES:
        yield wrong(f"PostgreSQL {version} is too old: 14 is the oldest that Django works with.")
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        if _value(cursor, f"SHOW {name}") == "off":
            yield wrong(
                f"PostgreSQL runs with {name}=off: a crash loses messages that were acknowledged. "
                "Switch it on."
            )
    yield from _encryption(cursor)
    yield from _pool(cursor)
    yield ok(f"PostgreSQL {version} answers in {took:.0f} ms.")


def _encryption(cursor: Any) -> Iterator[Finding]:
    host = settings.DATABASES["default"]["HOST"]
    here = not host or host.startswith(("/", "127.")) or host in ("localhost", "::1")
    asked = settings.DATABASES["default"]["OPTIONS"].get("sslmode", "prefer")
    encrypted = _value(cursor, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    if not here and not encrypted and asked == "prefer":
        yield warning(
            "The way to PostgreSQL on another host is not encrypted. Unless that network is yours "
            "alone, add ?sslmode=verify-full to DATABASE_URL."
        )


def _pool(cursor: Any) -> Iterator[Finding]:
    pool = settings.DATABASES["default"]["OPTIONS"].get("pool")
    if not pool:
        yield wrong("Connections to PostgreSQL are not pooled: keep `pool` in OPTIONS.")
        return
    most = int(_value(cursor, "SHOW max_connections"))
    reserved = int(_value(cursor, "SHOW superuser_reserved_connections"))
    room = (most - reserved) // pool["max_size"]
    if room < 1:
        yield wrong(
            f"PostgreSQL takes {most} connections and one server process may want "
            f"{pool['max_size']}: raise max_connections or lower CHAT_DATABASE_POOL."
        )
        return
    yield ok(
        f"A process holds up to {pool['max_size']} connections; PostgreSQL takes {most}, which is "
        f"enough for {room} processes."
    )


def look_at_migrations() -> Iterator[Finding]:
    try:
        _knock()
        missing = missing_migrations()
    except AWAY_ERRORS:
        yield wrong(AWAY)
        return
    finally:
        connection.close()
    if missing:
        yield wrong(f"{len(missing)} migrations are missing. Run: python manage.py migrate")
    else:
        yield ok("The database knows every migration.")


def look_at_database_clock() -> Iterator[Finding]:
    if connection.vendor == "sqlite":
        yield ok("SQLite goes by this machine's clock.")
        return
    try:
        _knock()
        with connection.cursor() as cursor:
            before = time.time()
            theirs = float(_value(cursor, "SELECT extract(epoch FROM clock_timestamp())"))
            yield compare("PostgreSQL", theirs, (before + time.time()) / 2)
    except AWAY_ERRORS:
        yield wrong(AWAY)
    finally:
        connection.close()
