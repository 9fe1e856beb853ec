"""Creates, changes and deletes rooms."""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.kernel.db import writing
from accounts.kernel.errors import Forbidden, NoSuchUser, invalid
from accounts.kernel.events import publish
from accounts.kernel.names import name_key
from accounts.kernel.rate_limits import consume, consume_unless_refused, refund
from accounts.models import User
from accounts.selectors import find_active_user, find_users

from . import selectors
from .errors import RoomExists, unknown_users
from .events import RoomChanged, RoomDeleted
from .membership_counters import raise_counters, raise_counters_of_room
from .models import Member, Role, Room, RoomKind
from .schemas import RoomOut
from .selectors import RoomAccess

if TYPE_CHECKING:
    from accounts.kernel.fields import UserRef

MAX_NAMED = 20
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})


# Creating rooms


def create_room(
    *,
    user_id: int,
    name: str,
    kind: str = RoomKind.PUBLIC,
    title: str = "",
    topic: str = "",
    members: "Collection[UserRef]" = (),
) -> Room:
    """Creates a public or group room. Raises RateLimited, UnknownUsers, RoomExists."""
    with consume_unless_refused("CHAT_ROOM_RATE", user_id):
        people = [person for person in resolve_users(members) if person.pk != user_id]
        room = Room(
            kind=kind,
            name=name,
            name_key=name_key(name),
            title=title,
            topic=topic,
            created_by_id=user_id,
            member_count=1 + len(people),
        )
        roles = {user_id: Role.OWNER} | {person.pk: Role.MEMBER for person in people}
        try:
            insert_room(room, roles)
        except IntegrityError:
            raise RoomExists from None
    return room


def resolve_users(members: "Collection[UserRef]") -> list[User]:
    """Returns active users by name or id. Raises UnknownUsers."""
    users, unknown = find_users(members)
    if unknown:
        raise unknown_users(unknown[:MAX_NAMED])
    return users


def insert_room(room: Room, roles: dict[int, Role]) -> None:
    """Stores a room with members. Raises IntegrityError for a taken name or pair."""
    with writing():
        room.save(force_insert=True)
        Member.objects.bulk_create(
            Member(room=room, user_id=user_id, role=role) for user_id, role in roles.items()
        )
        raise_counters(roles)


def open_private_room(*, user_id: int, other: User) -> Room:
    """Returns the one private room of two users, created if missing.

    Also under a race. Raises Forbidden for the caller itself, RateLimited for a new room.
    """
    if other.pk == user_id:
        raise Forbidden("You cannot open a private room with yourself")
    low, high = sorted((user_id, other.pk))
    pair = Room.objects.filter(low_id=low, high_id=high, deleted_at=None)
    pair = pair.select_related("low", "high")
    room = pair.first()
    if room is not None:
        return room
    consume("CHAT_ROOM_RATE", user_id)
    made = Room(
        kind=RoomKind.PRIVATE, low_id=low, high_id=high, created_by_id=user_id, member_count=2
    )
    try:
        insert_room(made, {low: Role.MEMBER, high: Role.MEMBER})
    except IntegrityError:  # a concurrent request created it first
        refund("CHAT_ROOM_RATE", user_id)
    # With both users: sockets read their names on the event loop, where queries are forbidden.
    return pair.get()


# Changing and deleting rooms


def change_room(*, user_id: int, room_id: int, title: str | None, topic: str | None) -> Room:
    """Changes title or topic; None keeps the old one. Raises NoSuchRoom, Forbidden."""
    with managed_room(user_id, room_id) as (access, _):
        room = access.room
        room.title = room.title if title is None else title
        room.topic = room.topic if topic is None else topic
        room.save(update_fields=["title", "title_key", "shared_prefix", "topic"])
        publish(RoomChanged(RoomOut.model_validate(room)))
    return room


def delete_room(*, user_id: int, room_id: int, as_staff: bool = False) -> None:
    """Hides a room for good; `manage.py purge_rooms` erases its messages.

    Staff may delete private rooms, too. Raises NoSuchRoom, Forbidden unless the caller is an owner.
    """
    permission = "rooms.delete_room" if as_staff else ""
    with managed_room(user_id, room_id, permission, private=as_staff) as (access, role):
        if role != Role.OWNER:
            raise Forbidden("Only an owner may delete a room")
        room = access.room
        _lock_members(room)
        raise_counters_of_room(room.pk)
        Member.objects.filter(room=room).delete()
        room.deleted_at, room.member_count = timezone.now(), 0
        room.access_epoch += 1
        room.save(update_fields=["deleted_at", "member_count", "access_epoch"])
        publish(RoomDeleted(room_id))


def _lock_members(room: Room) -> None:
    """Locks all members' rows in the order of `messaging.writer.sql.lock_members`.

    A DELETE locks rows in any order. Read markers move without the room's lock, so a batch of them
    and the DELETE could deadlock.
    """
    if connection.features.has_select_for_update:
        rows = Member.objects.select_for_update().filter(room=room).order_by("room_id", "user_id")
        deque(rows.values_list("pk").iterator(), maxlen=0)


@contextmanager
def managed_room(
    user_id: int, room_id: int, staff_permission: str = "", *, private: bool = False
) -> Iterator[tuple[RoomAccess, Role]]:
    """Locks a room in a transaction for an owner or admin; yields access and role.

    Staff with `staff_permission` act as owners, in groups too. Raises NoSuchRoom, Forbidden.
    """
    with writing():
        if staff_permission:
            access = selectors.staff_room_access(user_id, room_id, staff_permission)
            role = Role.OWNER
        else:
            access = selectors.room_access(user_id, room_id, lock=True)
            role = selectors.acting_role(access)
        if access.room.kind == RoomKind.PRIVATE and not private:
            raise Forbidden("Not available in a private room")
        if role not in MANAGERS:
            raise Forbidden
        yield access, role


def open_private_room_with(*, user_id: int, receiver_id: int) -> int:
    """Returns the id of the private room with a receiver, created if missing.

    Raises Invalid for an unknown receiver, Forbidden for the caller itself, RateLimited.
    """
    other = find_active_user(receiver_id)
    if other is None:
        raise invalid("receiver", NoSuchUser.detail)
    if other.pk == user_id:
        raise Forbidden("A private message needs another user as its receiver")
    return open_private_room(user_id=user_id, other=other).pk
