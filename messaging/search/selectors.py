"""Finds messages by words in rooms that the caller can read (contract §6).

A page comes from two steps, so that neither a common nor a rare word reads many rows:

1. A walk through the newest WALK messages compares their words, without the index. It fills a page
   with a common word after a few rows. On PostgreSQL it goes on while its hits so far let it expect
   the rest of the page for less than the index costs.
2. The index finds the rest. No word can be common any more. Without the first step, PostgreSQL
   would sort all messages with a common word, and for a prefix both databases would collect all of
   them.

The second step reads MAX_READ messages at most. Without words, or with a word that is common in
rooms of others only, there are more: the page may be short or empty, and its link goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from django.db import connection

from accounts.kernel.pagination import count_fitting, cursor_after, id_in
from accounts.selectors import find_user_id
from messaging.quotes import Quote, quotes_of
from messaging.selectors import (
    BYTES,
    MESSAGE_COLUMNS,
    MESSAGE_OVERHEAD,
    REPLY_TO,
    ShownRoom,
    message_out,
)
from rooms.selectors import RoomAccess, readable_room, readable_rooms

from .highlight import MAX_EXCERPT, highlight
from .index import indexed_until, room_token, sender_token
from .query import Term, index_query, parse_query
from .words import FILE_TOKEN, IMAGE_TOKEN

WALK = 4096
"""Messages that are compared without the index, which takes 20 ms."""
MAX_WALK = 32_768
"""The same for a word that is too rare to fill a page within WALK, and so common that PostgreSQL
would sort thousands of messages."""
MARGIN = 1.25
"""Factor on the expected length of a walk: the sample may have had more hits than the rest."""
INDEX_COST = 8.0
"""A message that the index finds, in messages of the walk: they are scattered over the table."""
MAX_READ = 10_000
"""Messages that the second step reads, as many as a page of the feed."""
MAX_MATCHES = 100_000
"""The same where PostgreSQL's index finds them: it reads them all before it knows the newest, at
0.4 µs each. Above that, MAX_READ messages are compared without it."""
SAMPLE = 1024
"""Messages in which matches are counted to expect how many the index finds."""
FEW = 128
"""Rows that are asked for at once: one by one they take twice as long."""
FREE_TERMS = 4
"""With more terms, a step compares fewer messages: each is compared with each excluded term."""
MAX_ROOM_TOKENS = 200
"""Rooms that a query of the index names."""
MAX_NAMED_MESSAGES = 100_000
"""Messages in these rooms. A caller who can read more can read a good part of all messages: the
index then finds all messages with the words, and the rooms of these are checked."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Ids rise with time, as far as the clocks of several hosts agree."""
LINK_WORDS = ("http", "https")
Has = Literal["file", "image", "link"]
TOKENS: dict[Has, str] = {"file": FILE_TOKEN, "image": IMAGE_TOKEN}
PLACE_OF = {"sqlite": "instr", "postgresql": "strpos"}
FROM = " FROM messaging_message m CROSS JOIN rooms_room r"
# By the room's id PostgreSQL follows its key. By that of the message it also filters messages, and
# reads all rooms to join them. SQLite: see `readable_room`.
READABLE = {"sqlite": readable_room("m.room_id"), "postgresql": readable_room("r.id")}
HIT = "m.id, m.seq, {bytes}"
BY_WALK = (
    f"SELECT {{hit}}{FROM}"
    " WHERE r.id = m.room_id AND {position} > %s AND {position} <= %s"
    " AND {conditions} ORDER BY {position} DESC LIMIT %s"
)
# FTS5 yields rows by falling id as they are asked for, and sorts nothing. PostgreSQL has to sort.
BY_FTS5 = (
    "SELECT m.id, m.seq, CASE WHEN {conditions} THEN {bytes} END"
    " FROM messaging_words CROSS JOIN messaging_message m CROSS JOIN rooms_room r"
    " WHERE messaging_words MATCH %s AND messaging_words.rowid > %s"
    " AND messaging_words.rowid <= %s AND m.id = messaging_words.rowid AND r.id = m.room_id"
    " ORDER BY messaging_words.rowid DESC LIMIT %s"
)
BY_GIN = (
    "WITH found AS MATERIALIZED (SELECT {hit} FROM messaging_message m CROSS JOIN rooms_room r"
    " WHERE r.id = m.room_id"
    " AND m.words <> '' AND messaging_lexemes(m.words, m.room_id, m.sender_id) @@ %s::tsquery"
    " AND m.id > %s AND m.id <= %s AND {conditions})"
    " SELECT * FROM found ORDER BY 1 DESC LIMIT %s"
)


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for."""

    user_id: int
    text: str = ""
    room: RoomAccess | None = None
    sender: str | None = None
    before: datetime | None = None
    after: datetime | None = None
    has: Has | None = None


class Found(NamedTuple):
    messages: list[dict[str, Any]]
    links: dict[str, dict[str, Any]]


class _Hit(NamedTuple):
    id: int
    seq: int
    bytes: int


class _Scan(NamedTuple):
    """What one page read."""

    hits: list[_Hit]
    end: int | None = None
    """The id before which messages were left out; None when there are none."""


def search_messages(search: Search, *, cursor: str | None, limit: int) -> Found:
    """Returns a page of messages, newest first, with `highlight`.

    Raises Forbidden for a banned user, Invalid.
    """
    if search.room is not None:
        search.room.check_may_read()
    before_id = id_in(cursor, "cursor") if cursor else None
    terms = parse_query(search.text)
    sender_id = find_user_id(search.sender) if search.sender is not None else None
    if search.sender is not None and sender_id is None:
        return Found([], {})
    if not terms and search.text.strip():  # signs only, which no word has
        return Found([], {})
    with connection.cursor() as database:
        finder = _Finder(database, search, terms, sender_id)
        hits, end = finder.find(before_id, limit + 1)
        count = count_fitting(MESSAGE_OVERHEAD + MAX_EXCERPT + hit.bytes for hit in hits[:limit])
        messages = finder.load([hit.id for hit in hits[:count]])
    if len(hits) > count:
        end = hits[count - 1].id
    if end is None:
        return Found(messages, {})
    return Found(messages, {"next": {"cursor": cursor_after(end), "limit": limit}})


def _further_walk(walked: int, found: int, missing: int, left: int, most: int) -> int:
    """Returns how many more messages to walk, for at most `most` in all.

    0 when the index may cost less. The messages walked so far are taken as a sample. The index
    finds all that match in the rest, and PostgreSQL reads and sorts them; the walk reads what it
    takes to fill the page.
    """
    if not found:
        return 0
    expected = round(missing * walked / found * MARGIN)
    is_cheaper = expected < left * found / walked * INDEX_COST
    return expected if is_cheaper and walked + expected <= most else 0


class _Finder:
    """Runs the statements of one search.

    Positions are the `seq` in one room, else ids: the order of time in both cases.
    """

    def __init__(
        self, database: Any, search: Search, terms: Sequence[Term], sender_id: int | None
    ) -> None:
        self._database = database
        self._search = search
        self._terms = terms
        self._sender_id = sender_id
        self._room = search.room.room if search.room else None
        self._position = "m.id" if self._room is None else "m.seq"
        self._matching = self._filters()
        access, reader = self._access()
        self._conditions = f"{self._matching[0]} AND {access}"
        self._values = [*self._matching[1], *reader]

    def _filters(self) -> tuple[str, list[Any]]:
        """Conditions that both steps check of each message, besides access to its room."""
        search, place_of = self._search, PLACE_OF[connection.vendor]
        parts: list[tuple[str, list[Any]]] = [("NOT m.deleted", [])]
        if self._room is not None:
            parts.append(("m.room_id = %s", [self._room.pk]))
        if self._sender_id is not None:
            parts.append(("m.sender_id = %s", [self._sender_id]))
        for moment, sign in ((search.before, "<"), (search.after, ">=")):
            if moment is not None:
                parts.append((f"m.created_at {sign} %s", [_stored(moment)]))
        for term in self._terms:
            sign = "=" if term.is_excluded else ">"
            parts.append((f"{place_of}(m.words, %s) {sign} 0", [term.stored]))
        if search.has in TOKENS:
            parts.append((f"{place_of}(m.words, %s) > 0", [f" {TOKENS[search.has]} "]))
        elif search.has == "link":
            links = " OR ".join([f"{place_of}(m.content, %s) > 0"] * len(LINK_WORDS))
            parts.append((f"({links})", [f"{word}://" for word in LINK_WORDS]))
        return " AND ".join(sql for sql, _ in parts), [value for _, some in parts for value in some]

    def _access(self) -> tuple[str, list[Any]]:
        """Returns the condition that the user may read the room of a message.

        For one room it mentions no message: checking each of 2,000 hits took half of the time.
        """
        reader = [self._search.user_id] * 2
        if self._room is None:
            return READABLE[connection.vendor], reader
        readable = (
            f"EXISTS (SELECT 1 FROM rooms_room r WHERE r.id = %s AND {readable_room('r.id')})"  # noqa: S608
        )
        return readable, [self._room.pk, *reader]

    def find(self, before_id: int | None, count: int) -> _Scan:
        """Returns the newest hits, older than a message of an earlier page."""
        low, high = self._bounds(before_id)
        newest, hits, step = high, list[_Hit](), self._bounded(WALK)
        while step:
            middle = max(low, high - step)
            hits += self._walk(middle, high, count - len(hits))
            if len(hits) == count or middle == low:
                return _Scan(hits)
            high = middle
            if connection.vendor != "postgresql":  # FTS5 sorts nothing
                break
            missing, most = count - len(hits), self._bounded(MAX_WALK)
            step = _further_walk(newest - high, len(hits), missing, high - low, most)
        older = self._find_older(low, high, count - len(hits))
        return _Scan(hits + older.hits, older.end)

    def _find_older(self, low: int, high: int, count: int) -> _Scan:
        """Returns hits among messages that are too many to compare all of them."""
        query, high_id = self._index_query(), self._id_at(high)
        until = indexed_until(self._database)
        # Without a word to look up, and before an import was indexed, there is only the slow way.
        is_indexed = query and (until is None or until >= high_id)
        if not is_indexed or self._is_common(low, high):
            middle = max(low, high - self._bounded(MAX_READ))
            return _Scan(self._walk(middle, high, count), self._id_after(low, middle))
        by_index = self._by_fts5 if connection.vendor == "sqlite" else self._by_gin
        return by_index([query, self._id_at(low), high_id], count)

    def _bounded(self, rows: int) -> int:
        """Returns how many messages a step may compare, fewer for more than FREE_TERMS."""
        return rows * FREE_TERMS // max(FREE_TERMS, len(self._terms))

    def _is_common(self, low: int, high: int) -> bool:
        """Whether PostgreSQL's index would find too many, mostly in other rooms."""
        if connection.vendor == "sqlite" or high - low <= MAX_MATCHES:
            return False
        conditions, values = self._matching
        matches = self._number(
            f"SELECT count(*) FROM messaging_message m WHERE {conditions}"  # noqa: S608
            f" AND {self._position} > %s AND {self._position} <= %s",
            [*values, high - SAMPLE, high],
        )
        return matches * (high - low) > MAX_MATCHES * SAMPLE

    def _walk(self, low: int, high: int, count: int) -> list[_Hit]:
        return self._hits(BY_WALK, [low, high, *self._values, count])

    def _by_gin(self, found: Sequence[Any], count: int) -> _Scan:
        return _Scan(self._hits(BY_GIN, [*found, *self._values, count]))

    def _by_fts5(self, found: Sequence[Any], count: int) -> _Scan:
        """Reads what the index finds, a few rows at a time, until the page is full."""
        most = self._bounded(MAX_READ)
        self._execute(BY_FTS5, [*self._values, *found, most])
        hits, read, rows = list[_Hit](), 0, list[Any]()
        while len(hits) < count and (more := self._database.fetchmany(FEW)):
            rows, read = more, read + len(more)
            hits += [_Hit(*row) for row in rows if row[-1] is not None]
        return _Scan(hits[:count], rows[-1][0] if read == most else None)

    def _hits(self, statement: str, values: Sequence[Any]) -> list[_Hit]:
        self._execute(statement, values)
        return [_Hit(*row) for row in self._database.fetchall()]

    def _execute(self, statement: str, values: Sequence[Any]) -> None:
        bytes_of = BYTES[connection.vendor]
        self._database.execute(
            statement.format(
                hit=HIT.format(bytes=bytes_of),
                bytes=bytes_of,
                position=self._position,
                conditions=self._conditions,
            ),
            values,
        )

    def _bounds(self, before_id: int | None) -> tuple[int, int]:
        """Returns the positions after and up to which messages may match."""
        low, high = 0, self._last_position(before_id)
        if self._search.after is not None:
            low = self._first_since(self._search.after - CLOCK_TOLERANCE, high) - 1
        if self._search.before is not None:
            high = self._first_since(self._search.before + CLOCK_TOLERANCE, high) - 1
        return min(low, high), high

    def _last_position(self, before_id: int | None) -> int:
        """Returns the position of the newest message, or of the last before an id."""
        if self._room is None:
            if before_id is not None:
                return before_id - 1
            return self._number("SELECT max(id) FROM messaging_message", [])
        if before_id is None:
            return self._room.last_seq
        place = [self._room.pk, before_id]
        return self._number(
            "SELECT seq - 1 FROM messaging_message WHERE room_id = %s AND id = %s", place
        )

    def _id_at(self, position: int) -> int:
        if self._room is None or position == 0:
            return position
        place = [self._room.pk, position]
        return self._number(
            "SELECT id FROM messaging_message WHERE room_id = %s AND seq = %s", place
        )

    def _id_after(self, low: int, position: int) -> int | None:
        """Returns the id that ends the messages up to a position; None without any."""
        if position == low:
            return None
        if self._room is not None:
            return self._id_at(position + 1)
        last = self._number("SELECT max(id) FROM messaging_message WHERE id <= %s", [position])
        return last + 1 if last > low else None

    def _number(self, statement: str, values: Sequence[Any]) -> int:
        self._database.execute(statement, values)
        row = self._database.fetchone()
        return (row and row[0]) or 0

    def _first_since(self, moment: datetime, high: int) -> int:
        """Returns the first position since a moment, by bisection: no index has times."""
        first, end = 1, high + 1
        room = "" if self._room is None else f"m.room_id = {self._room.pk} AND "
        while first < end:
            middle = (first + end) // 2
            self._database.execute(
                f"SELECT {self._position}, m.created_at < %s FROM messaging_message m"  # noqa: S608
                f" WHERE {room}{self._position} >= %s AND {self._position} < %s"
                f" ORDER BY {self._position} LIMIT 1",
                [_stored(moment), middle, end],
            )
            row = self._database.fetchone()
            if row is not None and row[1]:
                first = row[0] + 1
            else:
                end = middle
        return end

    def _index_query(self) -> str:
        tokens: list[Sequence[str]] = []
        if self._sender_id is not None:
            tokens.append([sender_token(self._sender_id)])
        if self._search.has in TOKENS:
            tokens.append([TOKENS[self._search.has]])
        elif self._search.has == "link":
            tokens.append(LINK_WORDS)
        rooms = self._rooms_to_name()
        if rooms:
            tokens.append([room_token(pk) for pk in rooms])
        return index_query(self._terms, tokens)

    def _rooms_to_name(self) -> Sequence[int]:
        if self._room is not None:
            return [self._room.pk]
        rooms = readable_rooms(self._search.user_id, limit=MAX_ROOM_TOKENS + 1)
        is_little = len(rooms) <= MAX_ROOM_TOKENS and sum(rooms.values()) <= MAX_NAMED_MESSAGES
        return list(rooms) if is_little else []

    def load(self, ids: Sequence[int]) -> list[dict[str, Any]]:
        """Reads the messages of a page in the order of `ids`."""
        if not ids:
            return []
        marks = ", ".join(["%s"] * len(ids))
        self._database.execute(
            f"SELECT {MESSAGE_COLUMNS}, r.id, r.name, r.low_id, r.high_id{FROM}"
            " CROSS JOIN accounts_user u WHERE r.id = m.room_id AND u.id = m.sender_id"
            f" AND m.id IN ({marks}) AND {READABLE[connection.vendor]} ORDER BY m.id DESC",
            [*ids, *[self._search.user_id] * 2],
        )
        rows = self._database.fetchall()
        quotes = quotes_of(row[REPLY_TO] for row in rows)
        return [self._message(row, quotes) for row in rows]

    def _message(self, row: Sequence[Any], quotes: Mapping[int | None, Quote]) -> dict[str, Any]:
        message = message_out(ShownRoom(*row[-4:]), row[:-4], quotes)
        return message | {"highlight": highlight(message["content"], self._terms)}


def _stored(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
