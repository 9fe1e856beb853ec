"""Finds mentions in a text: `@name` of a member, `@all` (contract §6)."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from unicodedata import normalize

from django.db import connection
from django.db.models import Q

from accounts.kernel.names import MAX_NAME_LENGTH, PUNCTUATION, is_name, name_key
from accounts.kernel.sql_arrays import id_array
from rooms.models import Role, RoomKind

from .models import Mention, Message

MAX_MENTIONS = 50
"""Names of one message that are looked up."""
MAX_STRIPPED = 3
"""Signs at the end that are left out one by one, before all are: `@ila.` may be `ila.` or `ila`."""
ALL = "all"
SIGNS = "".join(PUNCTUATION)
SIGN = re.compile(r"(?<![\w@.+-])@(\S+)")
"""Not within a word, as in e-mail addresses."""

Key = tuple[int, str]
"""A room and the key of a username."""


class Mentioned(NamedTuple):
    user_ids: list[int]
    everyone: bool


NO_MENTIONS = Mentioned([], everyone=False)


class MentionedNames(NamedTuple):
    """The names in a text. Each has several readings: `@ila.` may be `ila.` or `ila`."""

    readings: list[list[str]]
    has_all: bool

    def keys(self, room_id: int) -> Iterator[Key]:
        return ((room_id, key) for readings in self.readings for key in readings)


def names_in(text: str) -> MentionedNames:
    """Returns the keys of the names after an `@`. `@all` is no user's name.

    The writer calls it for texts of clients, so each word costs one check of a name, and after
    MAX_MENTIONS names only `@all` is looked for.
    """
    found: dict[str, list[str]] = {}
    has_all = False
    for word in dict.fromkeys(match[1][: MAX_NAME_LENGTH + 1] for match in SIGN.finditer(text)):
        if len(found) == MAX_MENTIONS and word[: len(ALL)].casefold() != ALL:
            continue
        readings = _readings(word)
        if ALL in readings:
            has_all = True
        elif readings and len(found) < MAX_MENTIONS:
            found.setdefault(readings[0], readings)
    return MentionedNames(list(found.values()), has_all)


def _readings(text: str) -> list[str]:
    """Returns the keys of possible names at the start of a text, the longest first."""
    end = next((place for place, sign in enumerate(text) if not _may_follow(sign)), len(text))
    name = text[:end].rstrip(SIGNS)
    if not is_name(name):
        return []
    key, signs = name_key(name), text[len(name) : end]
    # Signs at the end change neither the rest of a name nor its key.
    most = min(len(signs), MAX_NAME_LENGTH - max(len(normalize("NFC", name)), len(key)))
    lengths = [*range(most, max(most - MAX_STRIPPED, 0) - 1, -1), 0]
    return [key + signs[:length] for length in dict.fromkeys(lengths)]


@lru_cache(maxsize=4096)
def _may_follow(sign: str) -> bool:
    return sign in PUNCTUATION or is_name(f"a{sign}")


# Both databases take all keys as one or two parameters: a batch may have thousands.
MEMBERS_ON_SQLITE = (
    "WITH asked AS (SELECT json_extract(value, '$[0]') AS room_id,"
    " json_extract(value, '$[1]') AS name_key FROM json_each(%s))"
    " SELECT asked.room_id, u.username_key, u.id"
    " FROM asked CROSS JOIN accounts_user u CROSS JOIN rooms_member m"
    " WHERE u.username_key = asked.name_key AND m.room_id = asked.room_id AND m.user_id = u.id"
)
MEMBERS_ON_POSTGRESQL = (
    "SELECT asked.room_id, u.username_key, u.id"
    " FROM unnest(%s::bigint[], %s::text[]) AS asked (room_id, name_key)"
    " JOIN accounts_user u ON u.username_key = asked.name_key"
    " JOIN rooms_member m ON m.room_id = asked.room_id AND m.user_id = u.id"
)


def members_statement(keys: Collection[Key]) -> tuple[str, list[Any]]:
    """Returns the query of the members with these names, and its parameters."""
    if connection.vendor == "postgresql":
        return MEMBERS_ON_POSTGRESQL, [[room for room, _ in keys], [name for _, name in keys]]
    return MEMBERS_ON_SQLITE, [json.dumps(list(keys))]


def members_by_key(rows: Iterable[tuple[int, str, int]]) -> dict[Key, int]:
    return {(room_id, key): user_id for room_id, key, user_id in rows}


def resolve(
    names: MentionedNames, room_id: int, kind: str, role: str | None, members: Mapping[Key, int]
) -> Mentioned:
    """Returns whom a text of a sender with this role mentions in a room."""
    found = (
        next((members[room_id, key] for key in readings if (room_id, key) in members), None)
        for readings in names.readings
    )
    user_ids = list(dict.fromkeys(pk for pk in found if pk is not None))
    is_allowed = role in (Role.OWNER, Role.ADMIN) and kind != RoomKind.PRIVATE
    return Mentioned(user_ids, everyone=names.has_all and is_allowed)


def mentioned_in(text: str, room_id: int, kind: str, role: str | None) -> Mentioned:
    """Resolves a single text. Queries only if there is an `@` in it."""
    if "@" not in text:
        return NO_MENTIONS
    names = names_in(text)
    with connection.cursor() as cursor:
        cursor.execute(*members_statement(set(names.keys(room_id))))
        return resolve(names, room_id, kind, role, members_by_key(cursor.fetchall()))


def rows_of(mentioned: Mentioned) -> list[int | None]:
    """Returns the users of the rows to store for a message; None stands for everyone."""
    return [None] if mentioned.everyone else list(mentioned.user_ids)


def replace_mentions(message: Message, mentioned: Mentioned) -> None:
    """Replaces a message's mentions and their rows; the caller stores the message."""
    if message.mentions or message.mentions_all:
        place = Q(room_id=message.room_id, seq=message.seq)
        Mention.objects.filter(place, user_id__in=message.mentions).delete()
        Mention.objects.filter(place, user=None).delete()
    message.mentions, message.mentions_all = mentioned.user_ids, mentioned.everyone
    Mention.objects.bulk_create(
        Mention(room_id=message.room_id, user_id=user_id, seq=message.seq)
        for user_id in rows_of(mentioned)
    )


MAX_COUNTED = 1000
"""Unread mentions of each kind that are counted, so that a count costs the same in every room."""
_COUNT = """
(SELECT count(*) FROM (
    SELECT 1 FROM messaging_mention x
    WHERE x.room_id = asked.room_id AND {whom} AND x.seq > asked.seq LIMIT {most}
) AS found)
"""


_ASKED = {
    "sqlite": "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
    " json_extract(value, '$[2]') FROM json_each(%s)",
    "postgresql": "SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])",
}


def count_unread_mentions(last_read: Mapping[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """Counts unread mentions, `@all` included, by user and room."""
    if not last_read:
        return {}
    asked = [(*pair, seq) for pair, seq in last_read.items()]
    if connection.vendor == "postgresql":
        parameters = [id_array(column) for column in zip(*asked, strict=True)]
    else:
        parameters = [json.dumps(asked)]
    mine = _COUNT.format(whom="x.user_id = asked.user_id", most=MAX_COUNTED)
    everyone = _COUNT.format(whom="x.user_id IS NULL", most=MAX_COUNTED)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH asked (user_id, room_id, seq) AS ({_ASKED[connection.vendor]})"  # noqa: S608
            f" SELECT asked.user_id, asked.room_id, {mine} + {everyone} FROM asked",
            parameters,
        )
        return {(user_id, room_id): count for user_id, room_id, count in cursor.fetchall()}
