"""The SQL that stores messages: a handful of reads and writes for a batch of any size.

By hand, because it is the path of every message, at about three times the speed of the ORM's bulk
insert. The same statements run on SQLite, where BEGIN IMMEDIATE is the lock, and on PostgreSQL,
where the rooms' rows are.
"""

import functools
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connection
from typing_extensions import override


class _Cursor(sqlite3.Cursor):
    """SQLite's, told once how its marks are spelled: Django's own works it out at each statement,
    which costs as much as the statement.
    """

    @override
    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        return super().execute(_in_sqlite(sql), parameters)

    @override
    def executemany(self, sql: str, parameters: Iterable[Any]) -> "_Cursor":
        return super().executemany(_in_sqlite(sql), parameters)


# A text for each size of a batch that came by: small batches are nearly all there are.
@functools.lru_cache(256)
def _in_sqlite(sql: str) -> str:
    return sql.replace("%s", "?")


def bare_cursor() -> Any:
    """One for all statements of a batch: Django would wrap each of a dozen anew."""
    if connection.vendor == "sqlite":
        return connection.connection.cursor(_Cursor)
    return connection.create_cursor()


@contextmanager
def one_round_trip() -> Iterator[None]:
    """Statements inside go to PostgreSQL without waiting for each other's answers.

    It executes them in this order all the same. A batch would wait for a dozen answers otherwise,
    which costs more than what is done there.
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.connection.pipeline():
        yield


Rows = Callable[[], list[Any]]


def _ask(sql: str, parameters: Iterable[Any]) -> Rows:
    """The rows, once they are called for."""
    cursor = bare_cursor()
    cursor.execute(sql, tuple(parameters))
    rows: Rows = cursor.fetchall
    return rows


def _nothing() -> list[Any]:
    return []


def _marks(count: int, mark: str = "%s") -> str:
    return ", ".join([mark] * count)


def lock_rooms(ids: Collection[int]) -> Rows:
    """What `ledger.LockedRoom` holds.

    By rising id, so that two processes never wait for each other in a circle.
    """
    if not ids:
        return _nothing
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    return _ask(
        "SELECT id, kind, name, low_id, high_id, last_seq, version, access_epoch FROM rooms_room"  # noqa: S608
        f" WHERE id IN ({_marks(len(ids))}) AND deleted_at IS NULL ORDER BY id{lock}",
        ids,
    )


# Pairs and triples are joined to, not looked for with IN: SQLite would read the whole table,
# however good the index. CROSS JOIN makes it begin with what is asked for.


def active_senders(keys: Collection[tuple[int, int, int]]) -> Rows:
    """Room, user, session, username and whether a member, of those whose sign-in is good.

    `keys` are rooms, users and sessions. Read once the rooms are locked: a removal takes the same
    lock.
    """
    if not keys:
        return _nothing
    return _ask(
        "WITH asked (room_id, user_id, session_id)"  # noqa: S608
        f" AS (VALUES {_marks(len(keys), '(%s, %s, %s)')})"
        " SELECT asked.room_id, s.user_id, s.id, u.username, m.id IS NOT NULL"
        " FROM asked CROSS JOIN accounts_session s CROSS JOIN accounts_user u"
        " LEFT JOIN rooms_member m ON m.room_id = asked.room_id AND m.user_id = asked.user_id"
        " WHERE s.id = asked.session_id AND s.user_id = asked.user_id AND s.ended_at IS NULL"
        " AND u.id = s.user_id AND u.is_active",
        (part for key in keys for part in key),
    )


def used_client_ids(keys: Collection[tuple[int, int, str]]) -> Rows:
    """The ids of messages that a user of a room has sent by these `client_id`s."""
    if not keys:
        return _nothing
    return _ask(
        "WITH asked (room_id, sender_id, client_id)"  # noqa: S608
        f" AS (VALUES {_marks(len(keys), '(%s, %s, %s)')})"
        " SELECT m.id FROM asked CROSS JOIN messaging_message m"
        " WHERE m.room_id = asked.room_id AND m.sender_id = asked.sender_id"
        " AND m.client_id = asked.client_id AND m.client_id IS NOT NULL",
        (part for key in keys for part in key),
    )


def lock_members(keys: Collection[tuple[int, int]]) -> Rows:
    """Room, user, the room's last `seq` and the user's read marker, for each key of a member.

    PostgreSQL locks the rows of members in this one order, after those of rooms. A batch that
    locked some, and more of them later, could wait for a batch of another process that waits for
    it: a deadlock, which fails one of them as a whole.
    """
    if not keys:
        return _nothing
    lock = " ORDER BY m.room_id, m.user_id FOR UPDATE OF m"
    return _ask(
        "WITH asked (room_id, user_id)"  # noqa: S608
        f" AS (VALUES {_marks(len(keys), '(%s, %s)')})"
        " SELECT m.room_id, m.user_id, r.last_seq, m.last_read_seq"
        " FROM asked CROSS JOIN rooms_room r CROSS JOIN rooms_member m"
        " WHERE r.id = asked.room_id AND r.deleted_at IS NULL"
        " AND m.room_id = asked.room_id AND m.user_id = asked.user_id"
        + (lock if connection.features.has_select_for_update else ""),
        (part for key in keys for part in key),
    )


def replyable_messages(ids: Collection[int]) -> Rows:
    """Id and room of those messages that may be replied to."""
    if not ids:
        return _nothing
    return _ask(
        "SELECT id, room_id FROM messaging_message"  # noqa: S608
        f" WHERE id IN ({_marks(len(ids))}) AND NOT deleted",
        ids,
    )


def allocate_ids(count: int) -> Rows:
    """Ids before the insert, so that answers need no second look at what was stored."""
    if not count:
        return _nothing
    if connection.vendor == "postgresql":
        return _ask(
            "SELECT nextval(pg_get_serial_sequence('messaging_message', 'id'))"
            " FROM generate_series(1, %s)",
            [count],
        )
    # SQLite: the transaction holds the only write lock, so nobody else counts on meanwhile.
    rows = _ask("SELECT seq FROM sqlite_sequence WHERE name = %s", ["messaging_message"])()
    last = rows[0][0] if rows else 0
    return lambda: [(pk,) for pk in range(last + 1, last + count + 1)]


class BulkStatement(NamedTuple):
    """A statement for many rows. PostgreSQL takes them all in one, `row` being one of them: it
    would parse and plan each anew. SQLite has prepared `one` after the first.
    """

    one: str
    all: str
    row: str


_MESSAGE = "(%s, %s, %s, %s, %s, %s, 'message', %s, %s, FALSE, %s, %s, %s, '[]')"
_INTO_MESSAGES = (
    "INSERT INTO messaging_message (id, room_id, sender_id, seq, version, created_version,"
    " last_change, content, created_at, deleted, reply_to, client_id, client_digest, reactions)"
    " VALUES "
)
INSERT_MESSAGE = BulkStatement(_INTO_MESSAGES + _MESSAGE, _INTO_MESSAGES + "{rows}", _MESSAGE)
UPDATE_ROOM_COUNTERS = BulkStatement(
    one="UPDATE rooms_room SET last_seq = %s, version = %s, active_at = %s WHERE id = %s",
    all="UPDATE rooms_room SET last_seq = n.last_seq, version = n.version, active_at = n.at"
    " FROM (VALUES {rows}) AS n (last_seq, version, at, id) WHERE rooms_room.id = n.id",
    row="(%s::bigint, %s::bigint, %s::timestamptz, %s::bigint)",
)
ADVANCE_READ_MARKERS = BulkStatement(
    one="UPDATE rooms_member SET last_read_seq = max(last_read_seq, %s)"
    " WHERE room_id = %s AND user_id = %s",
    all="UPDATE rooms_member SET last_read_seq = n.seq"
    " FROM (VALUES {rows}) AS n (seq, room_id, user_id)"
    " WHERE rooms_member.room_id = n.room_id AND rooms_member.user_id = n.user_id"
    " AND last_read_seq < n.seq",
    row="(%s::bigint, %s::bigint, %s::bigint)",
)


def write(cursor: Any, write: BulkStatement, rows: Sequence[tuple[Any, ...]]) -> None:
    if connection.vendor == "postgresql":
        sql = write.all.format(rows=_marks(len(rows), write.row))
        cursor.execute(sql, [value for row in rows for value in row])
    else:
        cursor.executemany(write.one, rows)
