"""The statements of a batch use indexes, for tables of any size."""

import sqlite3
from typing import Any

import pytest
from django.db import connection

from messaging.writer import sql

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plans"),
]


class Explaining:
    """A cursor that records the plan of each statement instead of running it."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self.plans: list[str] = []

    def execute(self, sql: str, parameters: Any) -> None:
        rows = self._raw.execute("EXPLAIN QUERY PLAN " + sql.replace("%s", "?"), parameters)
        self.plans += [row[3] for row in rows]

    def fetchall(self) -> list[Any]:
        return []


def plans_of(ask: Any, argument: Any, patch: pytest.MonkeyPatch) -> list[str]:
    connection.ensure_connection()
    cursor = Explaining(connection.connection)
    patch.setattr(sql, "bare_cursor", lambda: cursor)
    ask(argument)
    assert cursor.plans
    return cursor.plans


@pytest.mark.parametrize(
    ("ask", "argument"),
    [
        (sql.lock_rooms, [1, 2, 3]),
        (sql.active_senders, [(1, 1, 1), (2, 2, 1), (3, 3, 1)]),
        (sql.used_client_ids, [(1, 1, "a"), (2, 2, "a"), (3, 3, "a")]),
        (sql.replyable_messages, [1, 2, 3]),
        (sql.lock_members, [(1, 1), (2, 2), (3, 3)]),
    ],
)
def test_batch_statements_never_scan_a_whole_table(
    ask: Any, argument: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = ("rooms_", "messaging_", "accounts_", " m", " s", " u", " r")
    scans = [plan for plan in plans_of(ask, argument, monkeypatch) if plan.startswith("SCAN")]
    assert [plan for plan in scans if plan.removeprefix("SCAN").startswith(tables)] == []
