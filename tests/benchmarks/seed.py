"""Fills a migrated database: `python -m tests.benchmarks.seed`.

Reads `[[name, members, messages], …]` and answers `{name: [access token of each member]}`. The REST
API would need longer for ten thousand users than all the measuring.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import django

if TYPE_CHECKING:
    from accounts.models import User
    from rooms.models import Room

FILL = """
    WITH RECURSIVE counted (seq) AS (
        SELECT 1 WHERE %s > 0 UNION ALL SELECT seq + 1 FROM counted WHERE seq < %s
    )
    INSERT INTO messaging_message (
        room_id, sender_id, seq, version, created_version, last_change, content, words, created_at,
        deleted, client_digest, reactions, attachments, mentions, mentions_all
    )
    SELECT
        %s, %s + seq %% %s, seq, seq, seq, 'message',
        'message ' || seq || ' of many, about as long as people write',
        ' message ' || seq || ' of many about as long as people write ', %s, FALSE, '', '[]',
        '[]', '[]', FALSE
    FROM counted
"""


AT_ONCE = 2000


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.db import transaction

    plan = [Plan(*each) for each in json.load(sys.stdin)]
    with transaction.atomic():
        json.dump(filled(plan), sys.stdout)


class Plan(NamedTuple):
    name: str
    members: int
    messages: int


def filled(plan: list[Plan]) -> dict[str, list[str]]:
    """Inserts everything with few statements: up to ten thousand rooms."""
    people = iter(_people(plan))
    tokens = {}
    belonging = []
    for one, room in zip(plan, _rooms(plan), strict=True):
        its = [next(people) for _ in range(one.members)]
        belonging += [(room, user) for user, _ in its]
        tokens[one.name] = [token for _, token in its]
        _messages(room.pk, [user for user, _ in its], one.messages)
    _join(belonging)
    return tokens


def _people(plan: list[Plan]) -> list[tuple["User", str]]:
    """Creates users with an access token each, room by room."""
    from accounts import tokens
    from accounts.models import Session, User

    names = [f"{one.name}-{number}" for one in plan for number in range(one.members)]
    users = User.objects.bulk_create(
        [User(username=name, username_key=name, password="!") for name in names],
        batch_size=AT_ONCE,
    )
    sessions = Session.objects.bulk_create(
        [Session(user=user, refresh_jti=f"{user.pk:032x}") for user in users], batch_size=AT_ONCE
    )
    return [(session.user, tokens.mint(session).access) for session in sessions]


def _rooms(plan: list[Plan]) -> "list[Room]":
    from rooms.models import Room, RoomKind

    return Room.objects.bulk_create(
        [
            Room(
                kind=RoomKind.GROUP,
                name=one.name,
                name_key=one.name,
                member_count=one.members,
                last_seq=one.messages,
                version=one.messages,
            )
            for one in plan
        ],
        batch_size=AT_ONCE,
    )


def _join(belonging: "list[tuple[Room, User]]") -> None:
    """The first member of each room owns it."""
    from rooms.models import Member, Role

    owned = set()
    rows = []
    for room, user in belonging:
        rows.append(
            Member(room=room, user=user, role=Role.MEMBER if room.pk in owned else Role.OWNER)
        )
        owned.add(room.pk)
    Member.objects.bulk_create(rows, batch_size=AT_ONCE)


def _messages(room_id: int, people: "Sequence[User]", count: int) -> None:
    """Inserts with one statement of SQLite: a million rows in seconds."""
    if not count:
        return
    from django.db import connection
    from django.utils import timezone

    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(FILL, [count, count, room_id, people[0].pk, len(people), now])


if __name__ == "__main__":
    main()
