"""Bug: missed changes are selected by id, not by version.

Ids come as from a PostgreSQL sequence with a cache: each process takes a block, so ids are not in
commit order. (Without a cache, two overlapping transactions do the same.)
"""

from collections import deque
from typing import Any

from django.db import connection
from django.db.models import Max

from config.asgi import application
from messaging import changes_since as changes_module
from messaging.changes_since import StoredChange
from messaging.models import Message
from messaging.selectors import state_of
from messaging.writer import batch
from messaging.writer.sql import Rows
from realtime.delivery import replay_pages
from rooms.models import Room

from .plant import plant

__all__ = ["application"]
BLOCK = 32
_free: deque[int] = deque()


def allocate_ids(count: int) -> Rows:
    while len(_free) < count:
        with connection.cursor() as cursor:
            _free.extend(_take_block(cursor))
    taken = [(_free.popleft(),) for _ in range(count)]
    return lambda: taken


def _take_block(cursor: Any) -> range:
    """Takes a block under the batch's write lock, committed with the batch."""
    name = "messaging_message"
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [name])
    row = cursor.fetchone()
    if row is None:
        cursor.execute("INSERT INTO sqlite_sequence VALUES (%s, %s)", [name, BLOCK])
        return range(1, BLOCK + 1)
    cursor.execute("UPDATE sqlite_sequence SET seq = seq + %s WHERE name = %s", [BLOCK, name])
    return range(row[0] + 1, row[0] + BLOCK + 1)


def changes_since(room: Room, version: int, *, limit: int) -> list[StoredChange]:
    rows = Message.objects.filter(room=room)
    last = rows.filter(version__lte=version).aggregate(Max("pk"))["pk__max"] or 0
    after = rows.filter(pk__gt=last).select_related("sender").order_by("version")[:limit]
    return [StoredChange(state_of(row, room), row.created_version, "message") for row in after]


plant(batch, "allocate_ids", allocate_ids)
plant(replay_pages, "changes_since", changes_since)
plant(changes_module, "changes_since", changes_since)
