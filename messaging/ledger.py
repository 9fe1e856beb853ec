"""One batch of messages on its way into the database, under the locks of its rooms.

SQL by hand, because this is the path of every message: a handful of reads and writes for a batch
of any size, at about three times the speed of the ORM's bulk insert. The same statements run on
SQLite, where BEGIN IMMEDIATE is the lock, and on PostgreSQL, where the rooms' rows are.
"""

import functools
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from accounts.errors import Forbidden, SessionEnded, invalid
from accounts.names import name_key
from rooms.errors import NoSuchRoom
from rooms.models import Ban, Kind, Room

from .errors import ClientIdReused, SenderMismatch
from .events import MessageState
from .models import Message
from .selectors import state_of


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that passed all checks that need no database.

    `username` is whom the client claims to be, if it said so.
    """

    user_id: int
    session_id: int
    room_id: int
    content: str
    digest: str = ""
    client_id: str | None = None
    reply_to: int | None = None
    via_room_id: int | None = None
    username: str | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """A stored message; `duplicate` when its `client_id` had stored it before."""

    message: MessageState
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What a `client_id` was used for: the digest of what it said, and the message."""

    digest: str
    message: MessageState


@dataclass(slots=True)
class LockedRoom:
    """What a message needs of a locked room; a model's instance costs ten times more."""

    pk: int
    kind: str
    name: str | None
    low_id: int | None
    high_id: int | None
    last_seq: int
    version: int
    access: int

    def as_model(self) -> Room:
        room = Room(pk=self.pk, kind=self.kind, name=self.name)
        room.low_id, room.high_id, room.access = self.low_id, self.high_id, self.access
        return room


class Ledger:
    """Made inside a transaction; `enter` each draft in order, then `save`."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self._now = timezone.now()
        # The room's lock is the first: whatever is read after it is read under it.
        with _one_round_trip():
            rooms = _lock_rooms({draft.room_id for draft in drafts})
            authors = _authors(drafts)
            used = _used_client_ids([draft for draft in drafts if draft.client_id])
            quotable = _quotable({draft.reply_to for draft in drafts if draft.reply_to})
            free_ids = _allocate_ids(len(drafts))
            self._rooms = {row[0]: LockedRoom(*row) for row in rooms()}
            self._names: dict[tuple[int, int], str] = {}
            """Of the users whose sign-in is good, by session and user."""
            self._members: set[tuple[int, int]] = set()
            for room_id, user_id, session_id, username, belongs in authors():
                self._names[session_id, user_id] = username
                if belongs:
                    self._members.add((room_id, user_id))
            found = [pk for (pk,) in used()]
            self._quotable: dict[int, int] = dict(quotable())
            """The room of each message that may be replied to."""
            self._free_ids = iter([pk for (pk,) in free_ids()])
        self._known = self._load_known(found)
        self._new: list[tuple[Draft, MessageState]] = []
        self._joining: dict[tuple[int, int], int] = {}

    def enter(self, draft: Draft) -> Sent:
        """Counts a message in, or finds the one that its `client_id` has made already.

        Raises SessionEnded, NoSuchRoom, Forbidden, SenderMismatch, ClientIdReused, Invalid.
        """
        username = self._names.get((draft.session_id, draft.user_id))
        if username is None:
            raise SessionEnded
        room = self._rooms.get(draft.room_id)
        if room is None:
            raise NoSuchRoom
        self._admit(room, draft.user_id)
        if draft.username is not None and name_key(draft.username) != name_key(username):
            raise SenderMismatch
        if draft.client_id is not None:
            known = self._known.get((room.pk, draft.user_id, draft.client_id))
            if known is not None:
                return _again(known, draft)
        if draft.reply_to is not None and self._quotable.get(draft.reply_to) != room.pk:
            raise invalid("reply_to", "is not a message of this room")
        return Sent(self._count_in(draft, room, username), duplicate=False)

    def _admit(self, room: LockedRoom, user_id: int) -> None:
        """Judged under the lock that a removal takes too. Sending joins a public room."""
        if (room.pk, user_id) in self._members:
            return
        if room.kind != Kind.PUBLIC:
            raise NoSuchRoom
        if Ban.objects.filter(room_id=room.pk, user_id=user_id).exists():
            raise Forbidden("You were removed from this room")

    def _count_in(self, draft: Draft, room: LockedRoom, username: str) -> MessageState:
        if (room.pk, draft.user_id) not in self._members:
            # Sending joins a public room.
            self._members.add((room.pk, draft.user_id))
            self._joining[room.pk, draft.user_id] = room.last_seq
        room.last_seq += 1
        room.version += 1
        message = MessageState(
            id=next(self._free_ids),
            seq=room.last_seq,
            version=room.version,
            room=room.name,
            room_id=room.pk,
            sender=draft.user_id,
            username=username,
            receiver=room.high_id if draft.user_id == room.low_id else room.low_id,
            content=draft.content,
            timestamp=self._now,
            edited_at=None,
            deleted=False,
            reply_to=draft.reply_to,
            client_id=draft.client_id,
            reactions=[],
            access=room.access,
        )
        self._new.append((draft, message))
        if draft.client_id is not None:
            key = (room.pk, draft.user_id, draft.client_id)
            self._known[key] = Known(draft.digest, message)
        return message

    def _load_known(self, found: Sequence[int]) -> dict[tuple[int, int, str], Known]:
        if not found:
            return {}
        messages = Message.objects.select_related("sender").in_bulk(found)
        return {
            (row.room_id, row.sender_id, row.client_id or ""): Known(
                row.client_digest, state_of(row, self._rooms[row.room_id].as_model())
            )
            for row in messages.values()
            if row.room_id in self._rooms
        }

    def save(self) -> None:
        """Writes what was entered. The caller commits."""
        if not self._new:
            return
        cursor, now = _bare_cursor(), connection.ops.adapt_datetimefield_value(self._now)
        with _one_round_trip():
            _write(cursor, INSERT_MESSAGE, [_row(*new, now) for new in self._new])
            changed = {message.room_id: self._rooms[message.room_id] for _, message in self._new}
            rooms = [(room.last_seq, room.version, now, room.pk) for room in changed.values()]
            _write(cursor, COUNT_ON, rooms)
            self._save_members(cursor, now)

    def _save_members(self, cursor: Any, now: Any) -> None:
        if self._joining:
            cursor.executemany(
                "INSERT INTO rooms_member (room_id, user_id, role, last_read_seq, muted, joined_at)"
                " VALUES (%s, %s, 'member', %s, FALSE, %s)",
                [(*key, last_seq, now) for key, last_seq in self._joining.items()],
            )
            cursor.executemany(
                "UPDATE rooms_room SET member_count = member_count + 1 WHERE id = %s",
                [(room_id,) for room_id, _ in self._joining],
            )
        # Sending also reads. The last of each author wins; nobody else's row is touched.
        read = {(message.room_id, message.sender): message.seq for _, message in self._new}
        _write(cursor, READ_ON, [(seq, *key) for key, seq in sorted(read.items())])


class Write(NamedTuple):
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
INSERT_MESSAGE = Write(_INTO_MESSAGES + _MESSAGE, _INTO_MESSAGES + "{rows}", _MESSAGE)
COUNT_ON = Write(
    one="UPDATE rooms_room SET last_seq = %s, version = %s, active_at = %s WHERE id = %s",
    all="UPDATE rooms_room SET last_seq = n.last_seq, version = n.version, active_at = n.at"
    " FROM (VALUES {rows}) AS n (last_seq, version, at, id) WHERE rooms_room.id = n.id",
    row="(%s::bigint, %s::bigint, %s::timestamptz, %s::bigint)",
)
READ_ON = Write(
    one="UPDATE rooms_member SET last_read_seq = max(last_read_seq, %s)"
    " WHERE room_id = %s AND user_id = %s",
    all="UPDATE rooms_member SET last_read_seq = n.seq"
    " FROM (VALUES {rows}) AS n (seq, room_id, user_id)"
    " WHERE rooms_member.room_id = n.room_id AND rooms_member.user_id = n.user_id"
    " AND last_read_seq < n.seq",
    row="(%s::bigint, %s::bigint, %s::bigint)",
)


def _write(cursor: Any, write: Write, rows: Sequence[tuple[Any, ...]]) -> None:
    if connection.vendor == "postgresql":
        sql = write.all.format(rows=_marks(len(rows), write.row))
        cursor.execute(sql, [value for row in rows for value in row])
    else:
        cursor.executemany(write.one, rows)


def _row(draft: Draft, message: MessageState, now: Any) -> tuple[Any, ...]:
    return (
        message.id,
        message.room_id,
        message.sender,
        message.seq,
        message.version,
        message.version,
        message.content,
        now,
        message.reply_to,
        message.client_id,
        draft.digest,
    )


def _again(known: Known, draft: Draft) -> Sent:
    if known.digest != draft.digest:
        raise ClientIdReused
    return Sent(known.message, duplicate=True)


class _Cursor(sqlite3.Cursor):
    """SQLite's, told once how its marks are spelled: Django's own works it out at each statement,
    which costs as much as the statement.
    """

    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        return super().execute(_in_sqlite(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> "_Cursor":
        return super().executemany(_in_sqlite(sql), parameters)


# A text for each size of a batch that came by: small batches are nearly all there are.
@functools.lru_cache(256)
def _in_sqlite(sql: str) -> str:
    return sql.replace("%s", "?")


def _bare_cursor() -> Any:
    """One for all statements of a batch: Django would wrap each of a dozen anew."""
    if connection.vendor == "sqlite":
        return connection.connection.cursor(_Cursor)
    return connection.create_cursor()


@contextmanager
def _one_round_trip() -> Iterator[None]:
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
    cursor = _bare_cursor()
    cursor.execute(sql, tuple(parameters))
    rows: Rows = cursor.fetchall
    return rows


def _nothing() -> list[Any]:
    return []


def _marks(count: int, mark: str = "%s") -> str:
    return ", ".join([mark] * count)


def _lock_rooms(ids: Collection[int]) -> Rows:
    """By rising id, so that two processes never wait for each other in a circle."""
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    return _ask(
        "SELECT id, kind, name, low_id, high_id, last_seq, version, access FROM rooms_room"  # noqa: S608
        f" WHERE id IN ({_marks(len(ids))}) AND deleted_at IS NULL ORDER BY id{lock}",
        ids,
    )


# Pairs and triples are joined to, not looked for with IN: SQLite would read the whole table,
# however good the index. CROSS JOIN makes it begin with what is asked for.


def _authors(drafts: Sequence[Draft]) -> Rows:
    """Room, user, session, username and whether a member, of those whose sign-in is good.

    Read once the rooms are locked: a removal takes the same lock.
    """
    keys = {(draft.room_id, draft.user_id, draft.session_id) for draft in drafts}
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


def _used_client_ids(drafts: Sequence[Draft]) -> Rows:
    keys = {(draft.room_id, draft.user_id, draft.client_id) for draft in drafts}
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


def _quotable(ids: Collection[int]) -> Rows:
    if not ids:
        return _nothing
    return _ask(
        "SELECT id, room_id FROM messaging_message"  # noqa: S608
        f" WHERE id IN ({_marks(len(ids))}) AND NOT deleted",
        ids,
    )


def _allocate_ids(count: int) -> Rows:
    """Ids before the insert, so that answers need no second look at what was stored."""
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
