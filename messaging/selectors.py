"""Reads messages: pages of history, the feed, and pinned messages."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import TextField, Value
from django.db.models.functions import Cast

from accounts.kernel.fields import MAX_ID, stored_rfc3339
from accounts.kernel.pagination import (
    Octets,
    RowSize,
    count_fitting,
    cursor_after,
    id_in,
    json_bytes,
    keyset_page,
)
from rooms.models import Room, other_of
from rooms.selectors import RoomAccess, may_be_read

from .events import MessageState
from .models import Message
from .quotes import QUOTE_BYTES, Quote, quotes_of

MAX_FEED_SCAN = 10_000
"""Messages of the whole site that a page of the feed examines. Without this limit a page for a user
of quiet rooms would walk through all messages.
"""


def state_of(
    message: Message, room: Room, quotes: Mapping[int | None, Quote] | None = None
) -> MessageState:
    """Returns a message as events and answers carry it; its sender must be loaded.

    `quotes` are those of several messages; without them a reply costs a query.
    """
    if quotes is None:
        quotes = quotes_of([message.reply_to])
    return MessageState(
        id=message.pk,
        seq=message.seq,
        version=message.version,
        room=room.name,
        room_id=room.pk,
        sender=message.sender_id,
        username=message.sender.username,
        receiver=room.other_id(message.sender_id),
        content=message.content,
        timestamp=message.created_at,
        edited_at=message.edited_at,
        deleted=message.deleted,
        reply_to=message.reply_to,
        client_id=message.client_id,
        reactions=message.reactions,
        access_epoch=room.access_epoch,
        attachments=message.attachments,
        mentions=message.mentions,
        mentions_all=message.mentions_all,
        quote=quotes.get(message.reply_to),
        pinned=message.pinned_version is not None,
    )


MESSAGE_OVERHEAD = 600
"""Bytes of an answer besides text, reactions and attachments: names, ids and times."""
ROOM_OVERHEAD = 600
MAX_CHARACTER_BYTES = 4
MESSAGE_BYTES = (
    Octets("content")
    + Octets(Cast("reactions", TextField()))
    + Octets(Cast("attachments", TextField()))
    + Value(MESSAGE_OVERHEAD)
)


def _message_size() -> RowSize[Message]:
    """Leaves reactions and attachments out of the maximum.

    Seldom are there many, and each page would be measured.
    """
    return RowSize(MESSAGE_BYTES, _bytes_of, max_message_bytes())


def max_message_bytes() -> int:
    length: int = settings.CHAT_MESSAGE_LENGTH or settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return MESSAGE_OVERHEAD + MAX_CHARACTER_BYTES * length


def _bytes_of(message: Message) -> int:
    lists = (one for one in (message.reactions, message.attachments) if one)
    return (
        MESSAGE_OVERHEAD + json_bytes(message.content) + sum(len(json.dumps(one)) for one in lists)
    )


@dataclass(frozen=True, slots=True)
class History:
    """A page, oldest first; `links` as in `accounts.kernel.pagination.Page`.

    A message has the members of `messaging.schemas.MessageOut`.
    """

    messages: list[dict[str, Any]]
    links: dict[str, dict[str, Any]]


# By hand, here and in `my_rooms`: of the 6 ms that a page of 50 cost, the ORM took 2.1 to build the
# query and an instance for each row, and its sender's.
MESSAGE_COLUMNS = (
    "m.id, m.seq, m.version, m.sender_id, u.username, m.content, m.created_at, m.edited_at,"
    " m.deleted, m.reply_to, m.client_id, m.reactions, m.mentions, m.mentions_all,"
    " m.pinned_version, m.attachments"
)
CONTENT, REPLY_TO, REACTIONS, MENTIONS, PINNED_VERSION, ATTACHMENTS = 5, 9, 11, 12, 14, 15
"""Places in a row of them."""
LISTS = (REACTIONS, MENTIONS, ATTACHMENTS)
FROM_MESSAGES = " FROM messaging_message m JOIN accounts_user u ON u.id = m.sender_id"
BYTES = {
    "sqlite": "length(CAST(m.content AS BLOB)) + length(CAST(m.reactions AS BLOB))"
    " + length(CAST(m.attachments AS BLOB))",
    "postgresql": "octet_length(m.content) + octet_length(m.reactions::text)"
    " + octet_length(m.attachments::text)",
}
"""As `MESSAGE_BYTES`."""
BY_PIN = " WHERE m.room_id = %s AND m.pinned_version < %s ORDER BY m.pinned_version DESC"
BETWEEN = " WHERE m.room_id = %s AND m.seq < %s AND m.seq > %s ORDER BY m.seq"


def history(access: RoomAccess, *, before: int | None, after: int | None, limit: int) -> History:
    """Returns messages by `seq`: the newest, before or after one, or between two.

    Raises Forbidden for a removed user. `seq` has no gaps, so the ends show whether there is more.
    """
    access.check_may_read()
    room = access.room
    walk = BETWEEN if after is not None else f"{BETWEEN} DESC"
    rows = _page_rows(walk, [room.pk, MAX_ID if before is None else before, after or 0], limit)
    if after is None:
        rows.reverse()
    shown = ShownRoom(room.pk, room.name, room.low_id, room.high_id)
    quotes = quotes_of(row[REPLY_TO] for row in rows)
    messages = [message_out(shown, row, quotes) for row in rows]
    links: dict[str, dict[str, Any]] = {}
    if messages and messages[-1]["seq"] < room.last_seq:
        links["next"] = {"after": messages[-1]["seq"], "limit": limit}
    if messages and messages[0]["seq"] > 1:
        links["prev"] = {"before": messages[0]["seq"], "limit": limit}
    return History(messages, links)


def _page_rows(walk: str, place: Sequence[int], limit: int) -> list[tuple[Any, ...]]:
    """Reads the rows of a page, as many as fit into CHAT_PAGE_BYTES.

    Where long messages could exceed it, their sizes are read first: no more text is loaded than is
    sent.
    """
    count = limit
    with connection.cursor() as cursor:
        if limit * max_message_bytes() > (settings.CHAT_PAGE_BYTES or math.inf):
            measured = f"SELECT {BYTES[connection.vendor]} FROM messaging_message m"  # noqa: S608
            cursor.execute(f"{measured}{walk} LIMIT %s", [*place, limit])
            sizes = (MESSAGE_OVERHEAD + size for (size,) in cursor.fetchall())
            count = count_fitting(sizes) or limit
        cursor.execute(f"SELECT {MESSAGE_COLUMNS}{FROM_MESSAGES}{walk} LIMIT %s", [*place, count])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows[: count_fitting(map(_bytes_of_row, rows))]


def _bytes_of_row(row: Sequence[Any]) -> int:
    lists = sum(
        len(row[place]) for place in (REACTIONS, MENTIONS, ATTACHMENTS) if row[place] != EMPTY_LIST
    )
    quote = 0 if row[REPLY_TO] is None else QUOTE_BYTES
    return MESSAGE_OVERHEAD + json_bytes(row[CONTENT]) + lists + quote


EMPTY_LIST = "[]"


class ShownRoom(NamedTuple):
    """What messages show of their room.

    A model's instance costs as much as all the rest.
    """

    pk: int
    name: str | None
    low_id: int | None
    high_id: int | None


def message_out(
    room: ShownRoom, row: Sequence[Any], quotes: Mapping[int | None, Quote]
) -> dict[str, Any]:
    """Returns the members of MessageOut for a row of MESSAGE_COLUMNS."""
    pk, seq, version, sender, username, content, *rest = row
    created_at, edited_at, deleted, reply_to, client_id, *rest = rest
    reactions, mentions, mentions_all, pinned_version, attachments = rest
    return {
        "id": pk,
        "seq": seq,
        "version": version,
        "room": room.name,
        "room_id": room.pk,
        "sender": sender,
        "username": username,
        "receiver": other_of(sender, room.low_id, room.high_id),
        "timestamp": stored_rfc3339(created_at),
        "edited_at": edited_at and stored_rfc3339(edited_at),
        "deleted": bool(deleted),
        "reply_to": reply_to,
        "client_id": client_id,
        "attachments": [] if attachments == EMPTY_LIST else json.loads(attachments),
        "reactions": [] if reactions == EMPTY_LIST else json.loads(reactions),
        "mentions": [] if mentions == EMPTY_LIST else json.loads(mentions),
        "mentions_all": bool(mentions_all),
        "quote": quotes.get(reply_to),
        "pinned": pinned_version is not None,
        "content": content,
    }


def pinned_messages(access: RoomAccess, *, cursor: str | None, limit: int) -> History:
    """Returns the pinned messages of a room, newest pin first.

    Raises Forbidden for former members.
    """
    access.check_may_read()
    room = access.room
    before = id_in(cursor, "cursor") if cursor else MAX_ID
    rows = _page_rows(BY_PIN, [room.pk, before], limit)
    shown = ShownRoom(room.pk, room.name, room.low_id, room.high_id)
    quotes = quotes_of(row[REPLY_TO] for row in rows)
    messages = [message_out(shown, row, quotes) for row in rows]
    links = {}
    last = rows[-1][PINNED_VERSION] if rows else 0
    if Message.objects.filter(room=room, pinned_version__lt=last).exists():
        links["next"] = {"cursor": cursor_after(last), "limit": limit}
    return History(messages, links)


def feed(user_id: int, *, before: str | None, limit: int) -> History:
    """Returns the newest messages of all rooms that the caller may read.

    Oldest first. A page examines at most MAX_FEED_SCAN messages, so it may be short or empty, with
    a link to the next.
    """
    messages = Message.objects.order_by("-pk").values_list("pk", flat=True)
    top = id_in(before, "before") if before else (messages.first() or 0) + 1
    bottom = top - MAX_FEED_SCAN
    rows = Message.objects.filter(may_be_read(user_id), pk__gte=bottom, pk__lt=top)
    rows = rows.select_related("sender", "room", "room__low", "room__high")
    page = keyset_page(
        rows, ["-pk"], cursor=before, limit=limit, field="before", size=_message_size()
    )
    links = {}
    if "next" in page.links:
        links["prev"] = {"before": page.links["next"]["cursor"], "limit": limit}
    elif (older := messages.filter(pk__lt=bottom).first()) is not None:
        links["prev"] = {"before": cursor_after(older + 1), "limit": limit}
    quotes = quotes_of(message.reply_to for message in page)
    return History([_message_of_feed(message, quotes) for message in reversed(page)], links)


def _message_of_feed(message: Message, quotes: Mapping[int | None, Quote]) -> dict[str, Any]:
    sender = message.sender
    row = (
        *(message.pk, message.seq, message.version, sender.pk, sender.username, message.content),
        *(message.created_at, message.edited_at, message.deleted, message.reply_to),
        *(message.client_id, json.dumps(message.reactions), json.dumps(message.mentions)),
        *(message.mentions_all, message.pinned_version, json.dumps(message.attachments)),
    )
    room = message.room
    return message_out(ShownRoom(room.pk, room.name, room.low_id, room.high_id), row, quotes)
