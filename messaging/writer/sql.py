"""Reads and writes a batch of messages of any size in a few SQL statements.

Every message takes this path, and plain SQL is about three times as fast as the ORM's bulk insert.
The same statements run on SQLite, where BEGIN IMMEDIATE is the lock, and on PostgreSQL, where the
rooms' rows are the locks.
"""

import functools
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from typing_extensions import override

from accounts.kernel.db import thread_connection
from messaging.quotes import FROM_QUOTED, QUOTE_COLUMNS


class _Cursor(sqlite3.Cursor):
    """SQLite's cursor for `%s` placeholders.

    Django's own converts them at each statement, which costs as much as the statement.
    """

    @override
    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        return super().execute(_in_sqlite(sql), parameters)

    @override
    def executemany(self, sql: str, parameters: Iterable[Any]) -> "_Cursor":
        return super().executemany(_in_sqlite(sql), parameters)


# One text for each size of a batch; nearly all batches are small.
@functools.lru_cache(256)
def _in_sqlite(sql: str) -> str:
    return sql.replace("%s", "?")


def bare_cursor() -> Any:
    """Returns a cursor without Django's wrapper, which costs time at each statement."""
    connection = thread_connection()
    if connection.vendor == "sqlite":
        return connection.connection.cursor(_Cursor)
    return connection.create_cursor()


@contextmanager
def one_round_trip() -> Iterator[None]:
    """Sends the statements inside to PostgreSQL without waiting for each answer.

    PostgreSQL executes them in the same order. Waiting for a dozen answers would cost more than the
    statements.
    """
    connection = thread_connection()
    if connection.vendor != "postgresql":
        yield
        return
    with connection.connection.pipeline():
        yield


Rows = Callable[[], list[Any]]


def select(sql: str, parameters: Iterable[Any]) -> Rows:
    """Executes a SELECT; the returned function fetches the rows."""
    cursor = bare_cursor()
    cursor.execute(sql, tuple(parameters))
    rows: Rows = cursor.fetchall
    return rows


def no_rows() -> list[Any]:
    return []


def _placeholders(count: int, placeholder: str = "%s") -> str:
    return ", ".join([placeholder] * count)


def lock_rooms(ids: Collection[int]) -> Rows:
    """Locks rooms and returns the columns of `room_versions.LockedRoom`.

    In the order of ids, so that two processes cannot deadlock.
    """
    if not ids:
        return no_rows
    lock = " FOR UPDATE" if thread_connection().features.has_select_for_update else ""
    return select(
        "SELECT id, kind, name, low_id, high_id, last_seq, version, access_epoch FROM rooms_room"  # noqa: S608
        f" WHERE id IN ({_placeholders(len(ids))}) AND deleted_at IS NULL ORDER BY id{lock}",
        ids,
    )


# Pairs and triples are joined, because with IN SQLite reads the whole table despite the index.
# CROSS JOIN makes it start with the requested keys.


def active_senders(keys: Collection[tuple[int, int, int]]) -> Rows:
    """Returns room, user, session, username and role of open sessions.

    `keys` are rooms, users and sessions. Read after the rooms were locked: a removal takes the same
    lock.
    """
    if not keys:
        return no_rows
    return select(
        "WITH asked (room_id, user_id, session_id)"  # noqa: S608
        f" AS (VALUES {_placeholders(len(keys), '(%s, %s, %s)')})"
        " SELECT asked.room_id, s.user_id, s.id, u.username, m.role"
        " FROM asked CROSS JOIN accounts_session s CROSS JOIN accounts_user u"
        " LEFT JOIN rooms_member m ON m.room_id = asked.room_id AND m.user_id = asked.user_id"
        " WHERE s.id = asked.session_id AND s.user_id = asked.user_id AND s.ended_at IS NULL"
        " AND u.id = s.user_id AND u.is_active",
        (part for key in keys for part in key),
    )


def used_client_ids(keys: Collection[tuple[int, int, str]]) -> Rows:
    """Returns the ids of messages by room, sender and `client_id`."""
    if not keys:
        return no_rows
    return select(
        "WITH asked (room_id, sender_id, client_id)"  # noqa: S608
        f" AS (VALUES {_placeholders(len(keys), '(%s, %s, %s)')})"
        " SELECT m.id FROM asked CROSS JOIN messaging_message m"
        " WHERE m.room_id = asked.room_id AND m.sender_id = asked.sender_id"
        " AND m.client_id = asked.client_id AND m.client_id IS NOT NULL",
        (part for key in keys for part in key),
    )


def lock_members(keys: Collection[tuple[int, int]]) -> Rows:
    """Locks members; returns room, user and the columns of StoredMarkers of each.

    PostgreSQL locks the members' rows in this one order, after those of rooms. If a batch locked
    more rows later, it could deadlock with a batch of another process, and one of them would fail.
    """
    if not keys:
        return no_rows
    lock = " ORDER BY m.room_id, m.user_id FOR UPDATE OF m"
    return select(
        "WITH asked (room_id, user_id)"  # noqa: S608
        f" AS (VALUES {_placeholders(len(keys), '(%s, %s)')})"
        " SELECT m.room_id, m.user_id, r.last_seq, m.last_read_seq, m.delivered_seq,"
        " u.share_receipts, r.member_count"
        " FROM asked CROSS JOIN rooms_room r CROSS JOIN rooms_member m CROSS JOIN accounts_user u"
        " WHERE u.id = asked.user_id AND r.id = asked.room_id AND r.deleted_at IS NULL"
        " AND m.room_id = asked.room_id AND m.user_id = asked.user_id"
        + (lock if thread_connection().features.has_select_for_update else ""),
        (part for key in keys for part in key),
    )


def replyable_messages(ids: Collection[int]) -> Rows:
    """Returns the room, then the QUOTE_COLUMNS, of messages that are not deleted."""
    if not ids:
        return no_rows
    return select(
        f"SELECT q.room_id, {QUOTE_COLUMNS}{FROM_QUOTED}"
        f" WHERE q.id IN ({_placeholders(len(ids))}) AND NOT q.deleted",
        ids,
    )


def lock_attachments(ids: Collection[int]) -> Rows:
    """Locks files that no message has; returns the columns of FreeFile.

    In the order of ids, after the rows of rooms and members, so that two batches cannot deadlock.
    """
    if not ids:
        return no_rows
    lock = " FOR UPDATE" if thread_connection().features.has_select_for_update else ""
    return select(
        "SELECT id, uploader_id, expires_at, name, content_type, size, width, height"  # noqa: S608
        f" FROM messaging_attachment WHERE id IN ({_placeholders(len(ids))})"
        f" AND is_stored AND message_id IS NULL ORDER BY id{lock}",
        ids,
    )


def allocate_ids(count: int) -> Rows:
    """Allocates ids before the insert, so that no query has to read them back."""
    if not count:
        return no_rows
    if thread_connection().vendor == "postgresql":
        return select(
            "SELECT nextval(pg_get_serial_sequence('messaging_message', 'id'))"
            " FROM generate_series(1, %s)",
            [count],
        )
    # SQLite: the transaction holds the only write lock, so no other writer allocates ids.
    rows = select("SELECT seq FROM sqlite_sequence WHERE name = %s", ["messaging_message"])()
    last = rows[0][0] if rows else 0
    return lambda: [(pk,) for pk in range(last + 1, last + count + 1)]


class BulkStatement(NamedTuple):
    """A statement for many rows.

    PostgreSQL takes all rows in one statement, each as `row`: it would parse and plan every single
    one. SQLite prepares `one` once.
    """

    one: str
    all: str
    row: str


_MESSAGE = "(%s, %s, %s, %s, %s, %s, 'message', %s, %s, %s, FALSE, %s, %s, %s, '[]', %s, %s, %s)"
_INTO_MESSAGES = (
    "INSERT INTO messaging_message (id, room_id, sender_id, seq, version, created_version,"
    " last_change, content, words, created_at, deleted, reply_to, client_id, client_digest,"
    " reactions, mentions, mentions_all, attachments)"
    " VALUES "
)
INSERT_MESSAGE = BulkStatement(_INTO_MESSAGES + _MESSAGE, _INTO_MESSAGES + "{rows}", _MESSAGE)
_INTO_MENTIONS = "INSERT INTO messaging_mention (room_id, user_id, seq) VALUES "
INSERT_MENTION = BulkStatement(
    _INTO_MENTIONS + "(%s, %s, %s)", _INTO_MENTIONS + "{rows}", "(%s, %s, %s)"
)
UPDATE_ROOM_COUNTERS = BulkStatement(
    one="UPDATE rooms_room SET last_seq = %s, version = %s, active_at = %s WHERE id = %s",
    all="UPDATE rooms_room SET last_seq = n.last_seq, version = n.version, active_at = n.at"
    " FROM (VALUES {rows}) AS n (last_seq, version, at, id) WHERE rooms_room.id = n.id",
    row="(%s::bigint, %s::bigint, %s::timestamptz, %s::bigint)",
)
ATTACH_FILE = "UPDATE messaging_attachment SET message_id = %s, expires_at = NULL WHERE id = %s"


def _advance(column: str) -> BulkStatement:
    return BulkStatement(
        one=f"UPDATE rooms_member SET {column} = max({column}, %s)"  # noqa: S608
        " WHERE room_id = %s AND user_id = %s",
        all=f"UPDATE rooms_member SET {column} = n.seq"  # noqa: S608
        " FROM (VALUES {rows}) AS n (seq, room_id, user_id)"
        " WHERE rooms_member.room_id = n.room_id AND rooms_member.user_id = n.user_id"
        f" AND {column} < n.seq",
        row="(%s::bigint, %s::bigint, %s::bigint)",
    )


ADVANCE_READ_MARKERS = _advance("last_read_seq")
ADVANCE_DELIVERED_MARKERS = _advance("delivered_seq")


def execute_bulk(cursor: Any, statement: BulkStatement, rows: Sequence[tuple[Any, ...]]) -> None:
    if thread_connection().vendor == "postgresql":
        sql = statement.all.format(rows=_placeholders(len(rows), statement.row))
        cursor.execute(sql, [value for row in rows for value in row])
    else:
        cursor.executemany(statement.one, rows)
