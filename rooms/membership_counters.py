"""Counts the changes of each user's memberships.

As a room's `version` shows a process that it missed a message, a user's counter shows it that it
missed a membership: joined, ended, muted. Every service that changes one raises the counter in its
transaction, so the check of every second (`realtime/delivery/membership_watch.py`) finds a change
of which no message between processes arrived.
"""

from collections.abc import Collection, Mapping

from django.db import connection

from accounts.kernel.events import publish
from accounts.kernel.sql_arrays import AMONG_IDS, id_array

from .events import MembershipsChanged

# By hand: the ORM cannot insert or add one in one statement, and with two the rows of several users
# would be locked in any order. Counters are locked last in a transaction and by rising user, so two
# transactions cannot wait for each other.
RAISE = {
    "sqlite": "SELECT value, 1 FROM json_each(%s) WHERE TRUE ORDER BY 1",
    "postgresql": "SELECT id, 1 FROM unnest(%s::bigint[]) AS users (id) ORDER BY 1",
}
RAISE_OF_ROOM = "SELECT user_id, 1 FROM rooms_member WHERE room_id = %s ORDER BY 1"
INTO_COUNTERS = (
    "INSERT INTO rooms_membershipcounter (user_id, value) {rows}"
    " ON CONFLICT (user_id) DO UPDATE SET value = rooms_membershipcounter.value + 1"
)


def raise_counters(user_ids: Collection[int]) -> None:
    """Counts a change of these users' memberships, in the transaction that makes it."""
    if not user_ids:
        return
    statement = INTO_COUNTERS.format(rows=RAISE[connection.vendor])
    with connection.cursor() as cursor:
        cursor.execute(statement, [id_array(user_ids)])
    publish(MembershipsChanged(frozenset(user_ids)))


def raise_counters_of_room(room_id: int) -> None:
    """Counts a change for all members of a room that is about to lose them.

    Publishes no event: the deletion of the room has its own.
    """
    with connection.cursor() as cursor:
        cursor.execute(INTO_COUNTERS.format(rows=RAISE_OF_ROOM), [room_id])


STORED = "SELECT user_id, value FROM rooms_membershipcounter WHERE user_id "


def changed_membership_counters(known: Mapping[int, int]) -> dict[int, int]:
    """Returns the counters of those users whose counter differs from the known one.

    One statement with one parameter: each process asks every second for all users with an events
    socket there. A user without a row has the counter 0.
    """
    if not known:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(STORED + AMONG_IDS[connection.vendor], [id_array(known)])
        stored: dict[int, int] = dict(cursor.fetchall())
    return {
        user_id: stored.get(user_id, 0)
        for user_id, value in known.items()
        if stored.get(user_id, 0) != value
    }
