"""Fills a database and counts what each operation reads.

Run as `python -m tests.query_plans.measure`.

On SQLite it counts the steps of the virtual machine, on PostgreSQL the rows that the nodes of the
plans read, those that a filter dropped included. Prints JSON: each operation with its count.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import django

STEP = 10
"""Steps of SQLite's virtual machine between two calls of the handler."""
# PostgreSQL takes the type of a literal from the column only with a cast.
FILL = """
    INSERT INTO messaging_message (room_id, sender_id, seq, version, created_version, last_change,
        content, words, created_at, deleted, client_digest, reactions, mentions, mentions_all,
        attachments)
    SELECT r.id, (SELECT min(m.user_id) FROM rooms_member m WHERE m.room_id = r.id),
        n, n, n, 'message', 'message ' || n || ' about as long as people write',
        ' message ' || n || ' about as long as people write ',
        %s, FALSE, '', CAST('[]' AS {json}), CAST('[]' AS {json}), FALSE, CAST('[]' AS {json})
    FROM rooms_room r CROSS JOIN ({numbers}) AS numbers WHERE r.name {which} 'room0'
"""
NUMBERS = {
    "sqlite": "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %s)"
    " SELECT n FROM c",
    "postgresql": "SELECT generate_series(1, %s) AS n",
}


def main() -> None:
    rooms, members, messages = map(int, sys.argv[1:])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    tokens = fill(rooms, members, messages)
    counts = {name: counted(call) for name, call in operations(tokens, messages).items()}
    json.dump(counts, sys.stdout)


def fill(rooms: int, members: int, messages: int) -> dict[str, list[str]]:
    """The first room holds half of the messages, the others share the rest."""
    from django.db import connection, transaction
    from django.utils import timezone

    from tests.benchmarks.seed import Plan, filled

    plan = [Plan(f"room{number}", members, 0) for number in range(rooms)]
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with transaction.atomic(), connection.cursor() as cursor:
        tokens = filled(plan)
        for which, count in (("=", messages), ("<>", max(1, messages // rooms))):
            statement = FILL.format(
                which=which,
                numbers=NUMBERS[connection.vendor],
                json="text" if connection.vendor == "sqlite" else "jsonb",
            )
            cursor.execute(statement, [now, count])
            cursor.execute(
                f"UPDATE rooms_room SET last_seq = %s, version = %s WHERE name {which} 'room0'",
                [count, count],
            )
        cursor.execute("UPDATE rooms_room SET kind = 'public' WHERE id %% 2 = 0", [])
        # Half of the users have a display name like the username, so both match a search.
        cursor.execute(
            "UPDATE accounts_user SET display_name = 'Person ' || id, display_key = 'person ' || id"
        )
        cursor.execute(
            "UPDATE accounts_user SET display_name = username || '!',"
            " display_key = username_key || '!', shared_prefix = length(username_key)"
            " WHERE id %% 2 = 0",
            [],
        )
        # So have rooms and titles.
        cursor.execute(
            "UPDATE rooms_room SET title = name || '!', title_key = name_key || '!',"
            " shared_prefix = length(name_key) WHERE id %% 4 = 0",
            [],
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return tokens


def operations(tokens: dict[str, list[str]], messages: int) -> dict[str, Callable[[], Any]]:
    """Reads of clients and of the repair, each with an answer of a fixed size."""
    from django.test import Client

    from accounts.auth import authenticate_together
    from accounts.selectors import ended_sessions, find_by_login
    from accounts.tokens import read_access
    from messaging.changes_since import changes_since, has_more_changes
    from rooms.models import Room
    from rooms.selectors import changed_room_counters, rooms_of_members, rooms_of_pairs

    client = Client(headers={"Authorization": f"Bearer {tokens['room0'][0]}"})
    first = Room.objects.get(name="room0")
    # Public: the last one, by name.
    public = Room.objects.filter(kind="public").latest("pk")
    claims = read_access(tokens["room0"][0])

    def get(path: str) -> Callable[[], Any]:
        def call() -> None:
            response = client.get(f"/api/{path}")
            assert response.status_code == 200, (path, response.content[:200])
            assert json.loads(response.content), path

        return call

    middle, names = messages // 2, [f"room{number}" for number in range(10)]
    paths = (
        f"rooms/{first.pk}/messages",
        f"rooms/{first.pk}/messages?before={middle}",
        f"rooms/{first.pk}/messages?after={middle}",
        f"rooms/{public.pk}/messages?limit=5",
        "history/room0?limit=20",
        "messages",
        "my-rooms",
        "rooms",
        "rooms?q=room1",
        "rooms?q=room",
        "rooms?q=r&limit=5",
        "rooms?kind=group",
        f"rooms/{first.pk}",
        f"rooms/{first.pk}/members",
        "users",
        "users?q=room",
        "users?q=person",
        "users?q=person%207",
        "users?q=room&limit=5",
        "users?q=room0-",
        "users/me",
        "search?q=about",
        f"search?q=about&room={first.pk}",
        "sessions",
    )
    return {
        **{
            f"GET {path.replace(str(middle), 'N').replace(str(public.pk), 'M')}": get(path)
            for path in paths
        },
        "sign-in": lambda: authenticate_together([claims]),
        "room by name": lambda: rooms_of_members([(claims.user_id, name) for name in names]),
        "room by username": lambda: rooms_of_pairs([(claims.user_id, name) for name in names]),
        "login": lambda: find_by_login("room0-0"),
        "replay": lambda: changes_since(first, middle, limit=100),
        "replay too long": lambda: has_more_changes(first, 1, 1000),
        "repair, rooms": lambda: changed_room_counters({first.pk: (1, 1), public.pk: (1, 1)}),
        "repair, sessions": lambda: ended_sessions([claims.session_id], 1.0),
    }


def counted(call: Callable[[], Any]) -> int:
    """The least of three: the first one fills caches."""
    from django.db import connection

    counting = _steps if connection.vendor == "sqlite" else _rows
    counts = []
    for _ in range(3):
        with counting() as count:
            call()
        counts.append(count[0])
    return min(counts)


@contextmanager
def _steps() -> Iterator[list[int]]:
    from django.db import connection

    count = [0]

    def step() -> int:
        count[0] += STEP
        return 0

    connection.ensure_connection()
    connection.connection.set_progress_handler(step, STEP)
    try:
        yield count
    finally:
        connection.connection.set_progress_handler(None, 0)


@contextmanager
def _rows() -> Iterator[list[int]]:
    from django.db import connection

    count = [0]

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("SELECT", "WITH")):
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                count[0] += _rows_in(cursor.fetchone()[0][0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield count


def _rows_in(node: dict[str, Any]) -> int:
    read = node["Actual Rows"] + sum(
        value for key, value in node.items() if key.startswith("Rows Removed by")
    )
    own: int = round(read * node["Actual Loops"])
    return own + sum(map(_rows_in, node.get("Plans", [])))


if __name__ == "__main__":
    main()
