"""Fills a migrated database for searches: `python -m tests.benchmarks.search_seed MESSAGES`.

One room has 80 % of the messages, 200 rooms share the rest. The first members of the large room are
in all of them. Words have the frequencies of a language: few are in most texts, many in few. Prints
the id of the room and the tokens of its members.
"""

import json
import os
import sys
from itertools import islice
from random import Random
from typing import Any

import django

LARGE, SMALL_ROOMS, MEMBERS = 0.8, 200, 4
WORDS_PER_MESSAGE, VOCABULARY = 12, 20_000
RARE, RARE_STEP = "wombat", 50_000
"""A word of one message in so many."""
AT_ONCE = 20_000
FILL = """
    INSERT INTO messaging_message (room_id, sender_id, seq, version, created_version, last_change,
        content, words, created_at, deleted, client_digest, reactions, mentions, mentions_all,
        attachments)
    VALUES (%s, %s, %s, %s, %s, 'message', %s, %s, %s, FALSE, '', '[]', '[]', FALSE, '[]')
"""
COUNT = """
    UPDATE rooms_room SET (last_seq, version) = (
        SELECT COALESCE(max(seq), 0), COALESCE(max(seq), 0) FROM messaging_message
        WHERE room_id = rooms_room.id
    )
"""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    json.dump(filled(int(sys.argv[1])), sys.stdout)


def texts(seed: int = 1) -> Any:
    """Yields texts whose word n has about a frequency of n to the power of -2/3."""
    chosen, number = Random(seed), 0
    while True:
        number += 1
        words = [f"w{int(VOCABULARY * chosen.random() ** 3)}" for _ in range(WORDS_PER_MESSAGE)]
        yield " ".join([*words, RARE] if number % RARE_STEP == RARE_STEP // 2 else words)


def filled(messages: int) -> dict[str, Any]:
    from django.db import connection, transaction

    from messaging.search.index import index_new_messages
    from rooms.models import Member, Room

    from .seed import Plan
    from .seed import filled as rooms_filled

    plan = [Plan("large", MEMBERS, 0), *(Plan(f"small{n}", 1, 0) for n in range(SMALL_ROOMS))]
    with transaction.atomic():
        tokens = rooms_filled(plan)
        rooms = {room.name: room for room in Room.objects.all()}
        people = [one.user_id for one in Member.objects.filter(room=rooms["large"])]
        others = [rooms[one.name] for one in plan[1:]]
        Member.objects.bulk_create(
            Member(room=room, user_id=pk) for room in others for pk in people
        )
        rows = _rows(rooms["large"].pk, [room.pk for room in others], people)
        with connection.cursor() as cursor:
            for first in range(0, messages, AT_ONCE):
                cursor.executemany(FILL, list(islice(rows, min(AT_ONCE, messages - first))))
            cursor.execute(COUNT)
            for first in range(0, messages, 512):
                index_new_messages(cursor, first + 1, first + 512)
    connection.cursor().execute("ANALYZE")
    return {"room": rooms["large"].pk, "tokens": tokens["large"]}


def _rows(large: int, others: list[int], people: list[int]) -> Any:
    from django.db import connection
    from django.utils import timezone

    now, seqs = connection.ops.adapt_datetimefield_value(timezone.now()), dict[int, int]()
    for number, text in enumerate(texts()):
        is_large = number % 5 < round(5 * LARGE)
        room = large if is_large else others[number // 5 % len(others)]
        seq = seqs[room] = seqs.get(room, 0) + 1
        yield room, people[number % len(people)], seq, seq, seq, text, f" {text} ", now


if __name__ == "__main__":
    main()
