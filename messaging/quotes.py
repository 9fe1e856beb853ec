"""Reads what messages reply to, as it is now (contract §6)."""

from collections.abc import Iterable
from typing import TypedDict

from django.db import connection

MAX_QUOTE_LENGTH = 200
"""Characters of the quoted text."""
QUOTE_BYTES = 1000
"""Bytes that a quote takes of an answer at most."""


class Quote(TypedDict):
    """The members of QuoteOut; a deleted message has an empty text."""

    id: int
    sender: int
    username: str
    content: str
    deleted: bool


# By hand, because pages are: see `messaging.selectors`.
QUOTE_COLUMNS = (
    f"q.id, q.sender_id, w.username, substr(q.content, 1, {MAX_QUOTE_LENGTH}), q.deleted"
)
FROM_QUOTED = " FROM messaging_message q JOIN accounts_user w ON w.id = q.sender_id"


def quotes_of(replies: Iterable[int | None]) -> dict[int | None, Quote]:
    """Returns the quoted messages by id, with at most one query."""
    ids = {reply_to for reply_to in replies if reply_to is not None}
    if not ids:
        return {}
    marks = ", ".join(["%s"] * len(ids))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {QUOTE_COLUMNS}{FROM_QUOTED} WHERE q.id IN ({marks})",
            list(ids),
        )
        return {row[0]: quote_from(*row) for row in cursor.fetchall()}


def quote_from(pk: int, sender: int, username: str, content: str, deleted: object) -> Quote:
    """Returns the quote for a row of QUOTE_COLUMNS."""
    return {
        "id": pk,
        "sender": sender,
        "username": username,
        "content": "" if deleted else content,
        "deleted": bool(deleted),
    }
