"""Decides in which rooms others see a user's presence and profile (contract §7).

In rooms of at most MAX_SHARED_MEMBERS members: in larger ones each user who opens a socket would
send a frame to all of them.
"""

from collections.abc import Collection

from django.db import connection

from accounts.kernel.sql_arrays import id_array

from .followed_rooms import OF_USERS

MAX_SHARED_MEMBERS = 100
"""Members of the largest room whose users receive each other's `presence` and `profile`."""


def shared_rooms(user_ids: Collection[int]) -> dict[int, list[int]]:
    """Returns each user's rooms in which others see their presence and profile."""
    found: dict[int, list[int]] = {user_id: [] for user_id in user_ids}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.user_id, m.room_id"  # noqa: S608
            " FROM rooms_member m JOIN rooms_room r ON r.id = m.room_id"
            f" WHERE m.user_id IN {OF_USERS[connection.vendor]}"
            " AND r.member_count <= %s AND r.deleted_at IS NULL",
            [id_array(user_ids), MAX_SHARED_MEMBERS],
        )
        for user_id, room_id in cursor.fetchall():
            found[user_id].append(room_id)
    return found
