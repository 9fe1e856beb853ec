"""Passes any number of ids to a statement as one parameter.

PostgreSQL takes an array literal (`%s::bigint[]`), SQLite a JSON list (`json_each(%s)`). With a
parameter for each id, parsing the statement would cost more than running it.
"""

import json
from collections.abc import Iterable

from django.db import connection

AMONG_IDS = {
    "postgresql": "= ANY(%s::bigint[])",
    "sqlite": "IN (SELECT value FROM json_each(%s))",
}
"""A condition on a column, for the parameter of `id_array`, by vendor."""


def id_array(ids: Iterable[int]) -> str:
    """Returns the parameter for these ids."""
    listed = list(ids)
    if connection.vendor == "postgresql":
        return "{" + ",".join(map(str, listed)) + "}"
    return json.dumps(listed)
