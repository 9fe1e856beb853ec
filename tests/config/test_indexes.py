"""No index repeats the beginning of another: each costs every write.

SQLite may take the wrong one.
"""

from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Model

pytestmark = pytest.mark.django_db

OUR_APPS = ("accounts", "rooms", "messaging")
MODELS = [model for app in OUR_APPS for model in apps.get_app_config(app).get_models()]

# Columns with their order and class, and the condition of each index; a unique one comes last.
ON_POSTGRESQL = """
SELECT c.relname, i.indisunique, coalesce(pg_get_expr(i.indpred, i.indrelid), ''),
       ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, false) || ' ' || i.indclass[k - 1]
             || ' ' || i.indoption[k - 1] FROM generate_series(1, i.indnkeyatts) AS k)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %s::regclass
"""
ON_SQLITE = """
SELECT l.name, l."unique", CASE WHEN l.partial THEN m.sql ELSE '' END, l.name
FROM pragma_index_list(%s) l LEFT JOIN sqlite_master m ON m.name = l.name
"""


def indexes_of(table: str) -> list[tuple[str, bool, str, list[str]]]:
    """Name, whether unique, condition and columns."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(ON_POSTGRESQL, [table])
            return [(name, bool(unique), where, key) for name, unique, where, key in cursor]
        cursor.execute(ON_SQLITE, [table])
        found: list[tuple[str, bool, str, Any]] = cursor.fetchall()
        return [(*row[:3], columns(cursor, row[0])) for row in found]


def columns(cursor: Any, index: str) -> list[str]:
    cursor.execute('SELECT name, "desc" FROM pragma_index_xinfo(%s) WHERE "key"', [index])
    return [f"{name} {descending}" for name, descending in cursor.fetchall()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.db_table)
def test_no_index_is_the_beginning_of_another(model: type[Model]) -> None:
    indexes = indexes_of(model._meta.db_table)
    assert indexes or not model._meta.indexes
    repeated = [
        (name, longer)
        for name, unique, where, key in indexes
        for longer, _, condition, others in indexes
        if name != longer and not unique and condition in ("", where) and others[: len(key)] == key
    ]
    assert repeated == []
