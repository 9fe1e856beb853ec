"""Runs two connections that need each other's rows, on `DATABASE_URL`.

`main` runs in a process of its own, because the tests of this folder run on SQLite. It prints
failures as JSON. A third connection delays both while they take locks, so that they always meet.
"""

import json
import logging
import time
from collections.abc import Callable

from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import QuerySet

from messaging.writer.read_markers import MarkRead
from rooms.models import Member, Role, Room, RoomKind
from rooms.services import delete_room
from tests.factories import (
    draft,
    make_caller,
    make_member,
    make_room,
    make_user,
    run_concurrently,
    store_now,
)

WAIT_TIMEOUT = 10.0
Side = Callable[[], object]


def sending_and_reading() -> list[object]:
    """Each side sends in one room, and has read the other's messages elsewhere."""
    first, *people = [make_caller() for _ in range(3)]
    everybody = [first, *people]
    rooms = [make_room(RoomKind.GROUP, member=[one.user_id for one in everybody]) for _ in people]
    Room.objects.update(last_seq=1, version=1)

    def side(mine: int) -> Side:
        readers = (first, people[1 - mine])
        read = [MarkRead(one.user_id, one.username, rooms[1 - mine].pk, 1) for one in readers]
        return lambda: store_now(draft(people[mine], rooms[mine]), *read).count(None)

    return crossing(Member.objects.filter(user_id=first.user_id), side(0), side(1))


def reading_and_deleting() -> list[object]:
    """One side deletes a room in which its members read."""
    people = [make_user() for _ in range(5)]
    room = make_room(RoomKind.GROUP)
    for user in reversed(people):  # so that table order is not id order
        make_member(room, user.pk, Role.OWNER)
    Room.objects.update(last_seq=1, version=1)
    marks = [MarkRead(user.pk, user.username, room.pk, 1) for user in people]
    return crossing(
        Member.objects.filter(room=room, user=people[2]),
        lambda: store_now(*marks).count(None),
        lambda: delete_room(user_id=people[0].pk, room_id=room.pk),
    )


def crossing(locked_rows: QuerySet[Member], *sides: Side) -> list[object]:
    """Runs both sides while the rows of `held` are locked; returns their failures."""

    def hold() -> int:
        with transaction.atomic():
            list(locked_rows.select_for_update())
            locked.append(True)
            deadline = time.monotonic() + WAIT_TIMEOUT
            while waiting() < len(sides):
                assert time.monotonic() < deadline
                time.sleep(0.01)
        return 0

    def after(side: Side) -> Side:
        def run() -> object:
            while not locked:
                time.sleep(0.01)
            return side()

        return run

    locked: list[bool] = []
    outcomes = run_concurrently(hold, *map(after, sides))
    return [repr(outcome) for outcome in outcomes if outcome]


def ask(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (count,) = cursor.fetchone()
        return int(count)


def waiting() -> int:
    return ask("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")


def deadlocks() -> int:
    return ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


def main() -> None:
    logging.disable(logging.ERROR)
    call_command("migrate", verbosity=0)
    failed = sending_and_reading(), reading_and_deleting()
    print(json.dumps({"failed": failed, "deadlocks": deadlocks()}))
