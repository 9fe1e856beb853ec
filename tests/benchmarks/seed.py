"""Fills a migrated database with rooms of signed-in members: `python -m tests.benchmarks.seed`.

Reads `[[name, members, messages], …]` and answers `{name: [access token of each member]}`. Ten
thousand people through the REST API would take longer than all the measuring.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from accounts.models import Session, User

FILL = """
    WITH RECURSIVE counted (seq) AS (
        SELECT 1 WHERE %s > 0 UNION ALL SELECT seq + 1 FROM counted WHERE seq < %s
    )
    INSERT INTO messaging_message (
        room_id, sender_id, seq, version, created_version, last_change, content, created_at,
        deleted, client_digest, reactions
    )
    SELECT
        %s, %s + seq %% %s, seq, seq, seq, 'message',
        'message ' || seq || ' of many, about as long as people write', %s, FALSE, '', '[]'
    FROM counted
"""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.db import transaction

    with transaction.atomic():
        tokens = {name: _room(name, members, messages) for name, members, messages in _plan()}
    json.dump(tokens, sys.stdout)


def _plan() -> list[tuple[str, int, int]]:
    return [(name, members, messages) for name, members, messages in json.load(sys.stdin)]


def _room(name: str, members: int, messages: int) -> list[str]:
    from accounts import tokens
    from rooms.models import Kind, Member, Role, Room

    people = _people(name, members)
    room = Room.objects.create(
        kind=Kind.GROUP,
        name=name,
        name_key=name,
        member_count=members,
        last_seq=messages,
        version=messages,
    )
    Member.objects.bulk_create(
        [
            Member(room=room, user=user, role=Role.MEMBER if number else Role.OWNER)
            for number, user in enumerate(people)
        ]
    )
    _messages(room.pk, people, messages)
    return [tokens.mint(session).access for session in _sessions(people)]


def _people(room: str, count: int) -> "list[User]":
    from accounts.models import User

    names = [f"{room}-{number}" for number in range(count)]
    return User.objects.bulk_create(
        [User(username=name, username_key=name, password="!") for name in names]
    )


def _sessions(people: "Sequence[User]") -> "list[Session]":
    from accounts.models import Session

    return Session.objects.bulk_create(
        [Session(user=user, refresh_jti=f"{user.pk:032x}") for user in people]
    )


def _messages(room_id: int, people: "Sequence[User]", count: int) -> None:
    """By one statement: a million rows in seconds."""
    from django.db import connection
    from django.utils import timezone

    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(FILL, [count, count, room_id, people[0].pk, len(people), now])


if __name__ == "__main__":
    main()
