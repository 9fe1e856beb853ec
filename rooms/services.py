"""Writes of rooms: make, change and delete them."""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.kernel.db import writing
from accounts.kernel.errors import Forbidden, NoSuchUser, invalid
from accounts.kernel.events import publish
from accounts.kernel.names import check_name, name_key
from accounts.kernel.rate_limits import give_back, spend, spending
from accounts.models import User
from accounts.selectors import find_active_user, find_people

from . import selectors
from .errors import NoSuchRoom, RoomExists, unknown_users
from .events import RoomChanged, RoomDeleted
from .models import Member, Role, Room, RoomKind
from .schemas import RoomOut
from .selectors import RoomAccess

if TYPE_CHECKING:
    from accounts.kernel.fields import UserRef

MAX_NAMED = 20
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})


# Making rooms


def create_room(
    *,
    user_id: int,
    name: str,
    kind: str = RoomKind.PUBLIC,
    title: str = "",
    topic: str = "",
    members: "Collection[UserRef]" = (),
) -> Room:
    """A public or group room that the caller owns. Raises RateLimited, UnknownUsers, RoomExists."""
    with spending("CHAT_ROOM_RATE", user_id):
        people = [person for person in people_named(members) if person.pk != user_id]
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
            _insert(room, roles)
        except IntegrityError:
            raise RoomExists from None
    return room


def people_named(members: "Collection[UserRef]") -> list[User]:
    users, unknown = find_people(members)
    if unknown:
        raise unknown_users(unknown[:MAX_NAMED])
    return users


def _insert(room: Room, roles: dict[int, Role]) -> None:
    """Raises IntegrityError when the name or the pair is there already."""
    with writing():
        room.save(force_insert=True)
        Member.objects.bulk_create(
            Member(room=room, user_id=user_id, role=role) for user_id, role in roles.items()
        )


def open_private_room(*, user_id: int, other: User) -> Room:
    """The one private room of two users, made when missing, also when both ask at the same instant.

    Raises Forbidden with oneself, RateLimited when it would have to be made.
    """
    if other.pk == user_id:
        raise Forbidden("A private room needs somebody else")
    low, high = sorted((user_id, other.pk))
    pair = Room.objects.filter(low_id=low, high_id=high, deleted_at=None)
    pair = pair.select_related("low", "high")
    room = pair.first()
    if room is not None:
        return room
    spend("CHAT_ROOM_RATE", user_id)
    made = Room(
        kind=RoomKind.PRIVATE, low_id=low, high_id=high, created_by_id=user_id, member_count=2
    )
    try:
        _insert(made, {low: Role.MEMBER, high: Role.MEMBER})
    except IntegrityError:  # the other was first
        give_back("CHAT_ROOM_RATE", user_id)
    # With both users loaded: sockets read their names on the event loop.
    return pair.get()


# Entering by socket: one query for those who are members already


def make_on_first_use(user_id: int, name: str) -> Room:
    try:
        stored = check_name(name)
    except ValueError:
        raise NoSuchRoom from None
    spend("CHAT_ROOM_RATE", user_id)
    room = Room(kind=RoomKind.PUBLIC, name=stored, name_key=name_key(stored), created_by_id=user_id)
    try:
        _insert(room, {})
    except IntegrityError:
        give_back("CHAT_ROOM_RATE", user_id)
        return Room.objects.get(name_key=room.name_key, deleted_at=None)
    return room


# Coming and going


# Changing and deleting rooms


def change_room(*, user_id: int, room_id: int, title: str | None, topic: str | None) -> Room:
    """Raises NoSuchRoom, Forbidden."""
    with managed_room(user_id, room_id) as (here, _):
        room = here.room
        room.title = room.title if title is None else title
        room.topic = room.topic if topic is None else topic
        room.save(update_fields=["title", "title_key", "topic"])
        publish(RoomChanged(RoomOut.model_validate(room)))
    return room


def delete_room(*, user_id: int, room_id: int, as_staff: bool = False) -> None:
    """Hides the room for good; `manage.py purge_rooms` erases what was said in it.

    Staff may delete private rooms too. Raises NoSuchRoom, Forbidden unless the caller is an owner.
    """
    permission = "rooms.delete_room" if as_staff else ""
    with managed_room(user_id, room_id, permission, private=as_staff) as (here, role):
        if role != Role.OWNER:
            raise Forbidden("Only an owner may delete a room")
        room = here.room
        _lock_members(room)
        Member.objects.filter(room=room).delete()
        room.deleted_at, room.member_count = timezone.now(), 0
        room.access_epoch += 1
        room.save(update_fields=["deleted_at", "member_count", "access_epoch"])
        publish(RoomDeleted(room_id))


def _lock_members(room: Room) -> None:
    """Locks all members' rows in the order of `messaging.statements.lock_members`.

    A DELETE locks them in any order. Read markers move without the room's lock: a batch of them
    and the DELETE could each hold a row that the other waits for.
    """
    if connection.features.has_select_for_update:
        rows = Member.objects.select_for_update().filter(room=room).order_by("room_id", "user_id")
        deque(rows.values_list("pk").iterator(), maxlen=0)


@contextmanager
def managed_room(
    user_id: int, room_id: int, staff_permission: str = "", *, private: bool = False
) -> Iterator[tuple[RoomAccess, Role]]:
    """A transaction that holds the room, for an owner or admin of it, with the role to judge by.

    With `staff_permission`, staff who have it act as an owner would, in groups too.
    """
    with writing():
        if staff_permission:
            here = selectors.staff_standing(user_id, room_id, staff_permission)
            role = Role.OWNER
        else:
            here = selectors.room_access(user_id, room_id, lock=True)
            role = selectors.acting_role(here)
        if here.room.kind == RoomKind.PRIVATE and not private:
            raise Forbidden("This cannot be done in a private room")
        if role not in MANAGERS:
            raise Forbidden
        yield here, role


def open_private_room_with(*, user_id: int, receiver_id: int) -> int:
    """The id of the private room with a receiver, created when missing.

    Raises Invalid for an unknown receiver, Forbidden for the caller themselves, RateLimited.
    """
    other = find_active_user(receiver_id)
    if other is None:
        raise invalid("receiver", NoSuchUser.detail)
    if other.pk == user_id:
        raise Forbidden("A private message needs another user as its receiver")
    return open_private_room(user_id=user_id, other=other).pk
