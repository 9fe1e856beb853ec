"""Reads rooms: what a caller may see, and the role there."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import BooleanField, Exists, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from accounts.kernel.errors import Forbidden
from accounts.kernel.names import is_name, name_key
from accounts.models import User

from .errors import REMOVED, NoSuchRoom
from .models import Ban, Member, Role, Room, RoomKind


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """A room that a caller may see, with the caller's membership."""

    room: Room
    user_id: int
    member: Member | None
    banned: bool = False

    def check_may_read(self) -> None:
        """Raises Forbidden for a user who was removed from a public room."""
        if self.banned:
            raise Forbidden(REMOVED)


# Both conditions below name `deleted_at` on either side of OR, so that no part of them concerns the
# room alone: for such a part SQLite builds a Bloom filter of all rooms, once ANALYZE was run.


def may_be_read(user_id: int, room: str = "room") -> Q:
    """Returns a filter for rows whose `room` the caller may read."""
    own = Member.objects.filter(room=OuterRef(room), user_id=user_id)
    banned = Ban.objects.filter(room=OuterRef(room), user_id=user_id)
    public = Q(**{f"{room}__kind": RoomKind.PUBLIC}) & ~Q(Exists(banned))
    exists = Q(**{f"{room}__deleted_at": None})
    return (exists & public) | (exists & Q(Exists(own)))


def readable_room(room_id: str) -> str:
    """Returns the same by hand, for a room `r` whose id is in the column `room_id`.

    With two parameters, the caller's id each time.
    """
    return (
        "(r.deleted_at IS NULL AND EXISTS"  # noqa: S608 - a column
        f" (SELECT 1 FROM rooms_member x WHERE x.room_id = {room_id} AND x.user_id = %s)"
        " OR r.deleted_at IS NULL AND r.kind = 'public' AND NOT EXISTS"
        f" (SELECT 1 FROM rooms_ban x WHERE x.room_id = {room_id} AND x.user_id = %s))"
    )


def readable_rooms(user_id: int, *, limit: int) -> dict[int, int]:
    """Rooms that the caller may read with their number of messages; at most `limit`."""
    own = Member.objects.filter(user_id=user_id, room__deleted_at=None)
    rooms = dict(own.values_list("room_id", "room__last_seq")[:limit])
    if len(rooms) < limit:
        others = Room.objects.filter(kind=RoomKind.PUBLIC, deleted_at=None).exclude(pk__in=rooms)
        others = others.exclude(bans__user_id=user_id)
        rooms |= dict(others.values_list("pk", "last_seq")[: limit - len(rooms)])
    return rooms


def listed_rooms(user_id: int, *, kind: str | None) -> list[QuerySet[Room]]:
    """Returns the walks of a page of rooms: all public ones, and the caller's own.

    `room_search` finds them by name or title.
    """
    rooms = Room.objects.filter(deleted_at=None)
    walks = []
    if kind in (None, RoomKind.PUBLIC):
        walks.append(rooms.filter(kind=RoomKind.PUBLIC))
    if kind != RoomKind.PUBLIC:
        own = rooms.filter(members__user_id=user_id)
        # Excludes the other kinds: with `kind = ?` SQLite reads all rooms of that kind instead of
        # those of one user.
        walks.append(own.exclude(kind__in=set(RoomKind) - {kind}) if kind else own)
    return walks


def room_access(user_id: int, room_id: int, *, lock: bool = False) -> RoomAccess:
    """Returns the caller's access to a room.

    Raises NoSuchRoom when the caller may not see it. With `lock`, inside a transaction, the room's
    row stays locked until the transaction ends: no message, edit or removal is stored meanwhile.
    """
    return _locked_access(user_id, room_id) if lock else _read_access(user_id, BY_ID, room_id)


def room_access_by_name(user_id: int, name: str) -> RoomAccess:
    """Returns the caller's access to a public or group room by its name."""
    return _read_access(user_id, BY_NAME, name_key(name))


# By hand, as in `accounts.auth`: with the ORM this was two or three queries, and building them cost
# 1.5 ms of each request, ten times what the database needs.
ROOM_COLUMNS = tuple(field.attname for field in Room._meta.concrete_fields)
MEMBER_COLUMNS = tuple(field.attname for field in Member._meta.concrete_fields)
PAIR = (
    " LEFT JOIN accounts_user low ON low.id = r.low_id"
    " LEFT JOIN accounts_user high ON high.id = r.high_id"
)
SELECT_ACCESS = (
    f"SELECT {', '.join(f'r.{name}' for name in ROOM_COLUMNS)}, low.username, high.username,"  # noqa: S608
    f" {', '.join(f'm.{name}' for name in MEMBER_COLUMNS)},"
    " EXISTS (SELECT 1 FROM rooms_ban b WHERE b.room_id = r.id AND b.user_id = %s)"
    " FROM rooms_room r LEFT JOIN rooms_member m ON m.room_id = r.id AND m.user_id = %s"
    f"{PAIR} WHERE r.deleted_at IS NULL AND (r.kind = 'public' OR m.id IS NOT NULL)"
)
# The rooms of many sockets that connect at once: with the ORM each took 0.3 ms. Joined, because
# with IN SQLite reads whole tables. CROSS JOIN makes it start with the requested keys.
SELECT_ENTERED = (
    "WITH asked (user_id, key) AS (VALUES {asked})"  # noqa: S608
    f" SELECT asked.user_id, asked.key, {', '.join(f'r.{name}' for name in ROOM_COLUMNS)},"
    f" low.username, high.username FROM asked {{joins}}{PAIR}"
    " WHERE r.deleted_at IS NULL AND {condition}"
)
ENTERED_BY_NAME = (
    "CROSS JOIN rooms_room r CROSS JOIN rooms_member m",
    "r.name_key = asked.key AND m.room_id = r.id AND m.user_id = asked.user_id",
)
# One look-up in the index of pairs: with OR the database would read all private rooms of the user.
ENTERED_BY_USERNAME = (
    "CROSS JOIN accounts_user other CROSS JOIN rooms_room r",
    (
        "other.username_key = asked.key AND other.is_active"
        " AND r.low_id = CASE WHEN other.id < asked.user_id THEN other.id ELSE asked.user_id END"
        " AND r.high_id = CASE WHEN other.id < asked.user_id THEN asked.user_id ELSE other.id END"
    ),
)
BY_ID = f"{SELECT_ACCESS} AND r.id = %s"
BY_NAME = f"{SELECT_ACCESS} AND r.name_key = %s"


Entry = tuple[int, str]
"""A user, and the name of the room or of the other user."""


def rooms_of_members(entries: Collection[Entry]) -> dict[Entry, Room]:
    """Returns the public rooms and groups of these names with these members."""
    return _entered(ENTERED_BY_NAME, entries)


def rooms_of_pairs(entries: Collection[Entry]) -> dict[Entry, Room]:
    """Returns the existing private rooms with active users of these names."""
    return _entered(ENTERED_BY_USERNAME, entries)


def _entered(where: tuple[str, str], entries: Collection[Entry]) -> dict[Entry, Room]:
    # PostgreSQL refuses a NUL in a parameter.
    keys = {entry: (entry[0], name_key(entry[1])) for entry in entries if is_name(entry[1])}
    if not keys:
        return {}
    joins, condition = where
    asked = ", ".join(["(%s, %s)"] * len(keys))
    with connection.cursor() as cursor:
        cursor.execute(
            SELECT_ENTERED.format(asked=asked, joins=joins, condition=condition),
            [value for key in keys.values() for value in key],
        )
        found = {(row[0], row[1]): _room_in(row[2:]) for row in cursor.fetchall()}
    return {entry: found[key] for entry, key in keys.items() if key in found}


def _read_access(user_id: int, statement: str, which: int | str) -> RoomAccess:
    """Leaves out in the database what the caller may not see.

    So a group of others costs what a missing room costs: the time of a 404 reveals nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, [user_id, user_id, which])
        row = cursor.fetchone()
    if row is None:
        raise NoSuchRoom
    place = len(ROOM_COLUMNS) + 2
    *member, banned = row[place:]
    if member[0] is None:
        return RoomAccess(_room_in(row), user_id, None, bool(banned))
    return RoomAccess(_room_in(row), user_id, _instance(Member, MEMBER_COLUMNS, member))


def _room_in(row: Sequence[Any]) -> Room:
    """Returns the room of such a row; its pair is loaded."""
    room = _instance(Room, ROOM_COLUMNS, row[: len(ROOM_COLUMNS)])
    low, high = row[len(ROOM_COLUMNS) : len(ROOM_COLUMNS) + 2]
    if low is not None and high is not None:
        room.low = _instance(User, ("id", "username"), (room.low_id, low))
        room.high = _instance(User, ("id", "username"), (room.high_id, high))
    return room


M = TypeVar("M", Room, Member, User)


def _instance(model: type[M], columns: Sequence[str], values: Sequence[Any]) -> M:
    made: M = model.from_db(DEFAULT_DB_ALIAS, columns, [aware(value) for value in values])
    return made


def aware(value: Any) -> Any:
    """Adds the zone to a time from a cursor: SQLite's have none and are in UTC."""
    return value.replace(tzinfo=UTC) if type(value) is datetime and not value.tzinfo else value


def _locked_access(user_id: int, room_id: int) -> RoomAccess:
    """Locks a room; a group that the caller may not see is left out."""
    visible = RawSQL(VISIBLE, [user_id], output_field=BooleanField())  # noqa: S611 - a constant
    rooms = Room.objects.filter(visible, deleted_at=None, pk=room_id)
    room = rooms.select_related("low", "high").select_for_update(of=("self",)).first()
    if room is None:
        raise NoSuchRoom
    # Read again: a removal may have held the lock meanwhile.
    member = Member.objects.filter(room=room, user_id=user_id).first()
    if member is not None:
        return RoomAccess(room, user_id, member)
    if room.kind != RoomKind.PUBLIC:
        raise NoSuchRoom
    banned = Ban.objects.filter(room=room, user_id=user_id).exists()
    return RoomAccess(room, user_id, None, banned)


VISIBLE = (
    "(rooms_room.kind = 'public' OR EXISTS"
    " (SELECT 1 FROM rooms_member m WHERE m.room_id = rooms_room.id AND m.user_id = %s))"
)


def acting_role(access: RoomAccess) -> Role:
    """Returns the role that the caller acts in.

    Staff act as owners of public rooms: a room made by connecting has no other owner.
    """
    role = Role(access.member.role) if access.member else Role.MEMBER
    if access.room.kind == RoomKind.PUBLIC and role != Role.OWNER:
        staff = User.objects.filter(pk=access.user_id, is_staff=True, is_active=True)
        return Role.OWNER if staff.exists() else role
    return role


def check_staff(user_id: int, permission: str) -> None:
    """Raises Forbidden unless the user is active staff with a permission of Django's.

    The one rule for `as_staff`, checked at each write: an open page may show old permissions.
    """
    user = User.objects.filter(pk=user_id, is_staff=True, is_active=True).first()
    if user is None or not user.has_perm(permission):
        raise Forbidden(f"Only staff with the permission {permission} may do this")


def staff_room_access(user_id: int, room_id: int, permission: str) -> RoomAccess:
    """Locks any existing room for staff who moderate it without being members.

    It says nothing about reading: no selector of messages takes it. Raises Forbidden, NoSuchRoom.
    """
    check_staff(user_id, permission)
    rooms = Room.objects.select_related("low", "high").select_for_update(of=("self",))
    room = rooms.filter(pk=room_id, deleted_at=None).first()
    if room is None:
        raise NoSuchRoom
    return RoomAccess(room, user_id, Member.objects.filter(room=room, user_id=user_id).first())


def find_member(room: Room, username: str) -> Member | None:
    return (
        Member.objects.filter(room=room, user__username_key=name_key(username))
        .select_related("user")
        .first()
    )


def members_of(room: Room) -> QuerySet[Member]:
    return Member.objects.filter(room=room).select_related("user")


def member_names(room: Room) -> list[str]:
    """Returns all usernames of a room, in the order of joining."""
    return list(members_of(room).order_by("pk").values_list("user__username", flat=True))


def is_last_owner(member: Member) -> bool:
    if member.role != Role.OWNER:
        return False
    others = Member.objects.filter(room_id=member.room_id, role=Role.OWNER).exclude(pk=member.pk)
    return not others.exists()


def room_row(room_id: int) -> Room:
    return Room.objects.get(pk=room_id)


def room_exists(room_id: int) -> bool:
    """Returns whether a room exists; False for a deleted one."""
    return Room.objects.filter(pk=room_id, deleted_at=None).exists()


def members_among(room_id: int, user_ids: Collection[int]) -> set[int]:
    """Returns the ids of those users that are members of the room."""
    rows = Member.objects.filter(room_id=room_id, user_id__in=user_ids)
    return set(rows.values_list("user_id", flat=True))


Counters = tuple[int, int]
"""A room's version and access epoch."""


def changed_room_counters(known: Mapping[int, Counters]) -> dict[int, Counters | None]:
    """Returns counters that differ from the known ones; None for a deleted room.

    Every process asks this each second for all its open rooms. So it is one statement with one or
    three parameters: ten thousand parameters or rows would cost many times what the database needs.
    """
    if connection.vendor == "postgresql":
        return _changed_counters_on_postgresql(known)
    return _changed_counters_on_sqlite(known)


def _changed_counters_on_postgresql(
    known: Mapping[int, Counters],
) -> dict[int, Counters | None]:
    """Compares in the database: transferring all rows would cost more."""
    versions = (version for version, _ in known.values())
    epochs = (epoch for _, epoch in known.values())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT known.id, r.version, r.access_epoch"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS known (id, version, epoch)"
            " LEFT JOIN rooms_room r ON r.id = known.id AND r.deleted_at IS NULL"
            " WHERE r.id IS NULL OR r.version <> known.version OR r.access_epoch <> known.epoch",
            ["{" + ",".join(map(str, column)) + "}" for column in (known, versions, epochs)],
        )
        rows = cursor.fetchall()
    return {pk: None if version is None else (version, epoch) for pk, version, epoch in rows}


def _changed_counters_on_sqlite(known: Mapping[int, Counters]) -> dict[int, Counters | None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, version, access_epoch FROM rooms_room"
            " WHERE id IN (SELECT value FROM json_each(%s)) AND deleted_at IS NULL",
            [json.dumps(list(known))],
        )
        stored = {pk: (version, epoch) for pk, version, epoch in cursor.fetchall()}
    return {pk: stored.get(pk) for pk, counters in known.items() if stored.get(pk) != counters}
