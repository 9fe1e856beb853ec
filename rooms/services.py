"""Writes of rooms and memberships; who may make, change, enter and leave them."""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from django.db import IntegrityError, connection
from django.db.models import F, Q
from django.utils import timezone

from accounts.kernel.db import writing
from accounts.kernel.errors import Forbidden, NoSuchUser
from accounts.kernel.events import publish
from accounts.kernel.names import check_name, is_name, name_key
from accounts.kernel.rate_limits import consume_locally, give_back, spend, spending
from accounts.models import User
from accounts.selectors import find_people, find_user

from . import selectors
from .errors import LastOwner, NoSuchMember, NoSuchRoom, NotAMember, RoomExists, unknown_users
from .events import MemberLeft, MemberRemoved, RoomChanged, RoomDeleted
from .models import Ban, Member, Role, Room, RoomKind
from .schemas import RoomOut
from .selectors import RoomAccess

if TYPE_CHECKING:
    from accounts.kernel.fields import UserRef

MAX_NAMED = 20
MANAGERS = frozenset({Role.OWNER, Role.ADMIN})
LAST_OWNER = "This is the last owner of the group: make another member owner, or delete the room"


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
        people = [person for person in _people(members) if person.pk != user_id]
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


def _people(members: "Collection[UserRef]") -> list[User]:
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


def enter_public_room(*, user_id: int, name: str) -> Room:
    """The public room of this name, joined, and made when the name is free.

    Raises NoSuchRoom for an impossible or deleted name, NotAMember for somebody's group, Forbidden
    for the removed and for members of a group, who have a URL of their own, RateLimited.
    """
    room = _room_of_member(user_id, name)
    if room is None:
        return _enter_as_stranger(user_id, name)
    if room.kind == RoomKind.GROUP:
        raise Forbidden("This is a group room: connect to /ws/chat/group/<room_name>/")
    return room


# By hand, as in `accounts.auth`: it stands before every socket of a public or group room.
ROOM_OF_MEMBER = (
    "SELECT r.* FROM rooms_room r JOIN rooms_member m ON m.room_id = r.id"
    " WHERE r.name_key = %s AND r.deleted_at IS NULL AND m.user_id = %s"
)


def _room_of_member(user_id: int, name: str) -> Room | None:
    if not is_name(name):  # PostgreSQL cannot even be asked for a NUL
        return None
    return next(iter(Room.objects.raw(ROOM_OF_MEMBER, [name_key(name), user_id])), None)


def _enter_as_stranger(user_id: int, name: str) -> Room:
    if not is_name(name):
        raise NoSuchRoom
    rooms = Room.objects.filter(name_key=name_key(name))
    # One that still exists sorts before the deleted ones of the same name.
    room = rooms.order_by(F("deleted_at").desc(nulls_first=True)).first()
    if room is None:
        room = _make_on_first_use(user_id, name)
    if room.deleted_at is not None:
        raise NoSuchRoom
    if room.kind == RoomKind.GROUP:
        raise NotAMember
    consume_locally("CHAT_JOIN_RATE", user_id)
    return join_room(user_id=user_id, room_id=room.pk)


def _make_on_first_use(user_id: int, name: str) -> Room:
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


def enter_group_room(*, user_id: int, name: str) -> Room:
    """Raises NotAMember alike for a group of others and for one that does not exist."""
    room = _room_of_member(user_id, name)
    if room is None or room.kind != RoomKind.GROUP:
        raise NotAMember
    return room


def enter_private_room(*, user_id: int, username: str) -> Room:
    """Raises NoSuchUser, Forbidden with oneself, RateLimited when the room must be made."""
    if not is_name(username):
        raise NoSuchUser
    key = name_key(username)
    room = (
        Room.objects.filter(
            Q(low_id=user_id, high__username_key=key, high__is_active=True)
            | Q(high_id=user_id, low__username_key=key, low__is_active=True),
            deleted_at=None,
        )
        .select_related("low", "high")
        .first()
    )
    return room or open_private_room(user_id=user_id, other=find_user(username))


# Coming and going


def join_room(*, user_id: int, room_id: int) -> Room:
    """Makes the caller a member of a public room; no change for one who is.

    Raises NoSuchRoom when it is not public, Forbidden for the removed.
    """
    with writing():
        here = selectors.room_access(user_id, room_id, lock=True)
        here.check_may_read()
        if here.member is not None:
            return here.room
        # What was said before is history, not unread.
        Member.objects.create(room=here.room, user_id=user_id, last_read_seq=here.room.last_seq)
        Room.objects.filter(pk=room_id).update(member_count=F("member_count") + 1)
        here.room.member_count += 1
    return here.room


def leave_room(*, user_id: int, room_id: int) -> None:
    """Raises NoSuchRoom, NotAMember, Forbidden for a private room, LastOwner of a group."""
    with writing():
        here = selectors.room_access(user_id, room_id, lock=True)
        if here.room.kind == RoomKind.PRIVATE:
            raise Forbidden("A private room cannot be left")
        if here.member is None:
            raise NotAMember
        if here.room.kind == RoomKind.GROUP and selectors.is_last_owner(here.member):
            raise LastOwner
        access = _end_membership(here.room, here.member)
        publish(MemberLeft(room_id, user_id, access))


def _end_membership(room: Room, member: Member | None) -> int:
    """Ends a membership under the room's lock and returns the room's new access counter."""
    if member is not None:
        member.delete()
        room.member_count -= 1
    room.access += 1
    room.save(update_fields=["access", "member_count"])
    return room.access


def remove_member(*, user_id: int, room_id: int, username: str, as_staff: bool = False) -> int:
    """Removes somebody and returns the room's version: nothing later reaches them.

    From a public room it is a ban as well, until somebody adds them again, and anybody may be
    banned: who has left, or never said a word. Raises NoSuchRoom, Forbidden, NoSuchMember,
    LastOwner of a group.
    """
    permission = "rooms.delete_member" if as_staff else ""
    with _managed(user_id, room_id, permission) as (here, role):
        _remove(here, role, username)
    return here.room.version


def _remove(here: RoomAccess, role: Role, username: str) -> int:
    """Removes under the room's lock, and bans where anybody may enter; returns the user's id."""
    member = selectors.find_member(here.room, username)
    gone_id = member.user_id if member else _stranger(here.room, username)
    if gone_id == here.user_id:
        raise Forbidden("To go yourself, leave the room")
    if role != Role.OWNER and member is not None and member.role != Role.MEMBER:
        raise Forbidden("Only an owner may remove owners and admins")
    if here.room.kind == RoomKind.GROUP and member is not None and selectors.is_last_owner(member):
        raise LastOwner(LAST_OWNER)
    if here.room.kind == RoomKind.PUBLIC:
        Ban.objects.get_or_create(room=here.room, user_id=gone_id)
    access = _end_membership(here.room, member)
    publish(MemberRemoved(here.room.pk, gone_id, access))
    return gone_id


def ban_user(*, user_id: int, room_id: int, username: str) -> Ban:
    """Bans anybody from a public room, for staff.

    Raises NoSuchRoom, NoSuchMember, Forbidden for other rooms, where removing is enough.
    """
    with _managed(user_id, room_id, "rooms.add_ban") as (here, role):
        if here.room.kind != RoomKind.PUBLIC:
            raise Forbidden("Only public rooms have bans: remove the member of a group")
        return Ban.objects.get(room=here.room, user_id=_remove(here, role, username))


def lift_ban(*, user_id: int, room_id: int, banned_id: int) -> bool:
    """Lets somebody come back, for staff; False when there was no ban. Raises NoSuchRoom."""
    with _managed(user_id, room_id, "rooms.delete_ban") as (here, _):
        lifted, _ = Ban.objects.filter(room=here.room, user_id=banned_id).delete()
    return bool(lifted)


def _stranger(room: Room, username: str) -> int:
    """Somebody who is no member but could become one at any time. Raises NoSuchMember."""
    if room.kind == RoomKind.PUBLIC:
        with suppress(NoSuchUser):
            return find_user(username).pk
    raise NoSuchMember


def add_members(
    *, user_id: int, room_id: int, people: "Collection[UserRef]"
) -> tuple[Room, list[str], list[str]]:
    """Adds people and lifts their bans: the room, whom it added, and all members, by name.

    Raises NoSuchRoom, Forbidden, UnknownUsers.
    """
    with _managed(user_id, room_id) as (here, _):
        users = _people(people)
        Ban.objects.filter(room=here.room, user__in=users).delete()
        present = set(
            Member.objects.filter(room=here.room, user__in=users).values_list("user_id", flat=True)
        )
        new = [user for user in users if user.pk not in present]
        Member.objects.bulk_create(
            Member(room=here.room, user=user, last_read_seq=here.room.last_seq) for user in new
        )
        here.room.member_count += len(new)
        here.room.save(update_fields=["member_count"])
    return here.room, [user.username for user in new], selectors.member_names(here.room)


def change_role(
    *, user_id: int, room_id: int, username: str, role: Role, as_staff: bool = False
) -> Member:
    """Raises NoSuchRoom, Forbidden unless the caller is an owner, NoSuchMember, LastOwner."""
    permission = "rooms.change_member" if as_staff else ""
    with _managed(user_id, room_id, permission) as (here, own_role):
        if own_role != Role.OWNER:
            raise Forbidden("Only an owner may change roles")
        member = _member(here.room, username)
        if (
            role != Role.OWNER
            and here.room.kind == RoomKind.GROUP
            and selectors.is_last_owner(member)
        ):
            raise LastOwner(LAST_OWNER if as_staff else None)
        member.role = role
        member.save(update_fields=["role"])
    return member


def _member(room: Room, username: str) -> Member:
    member = selectors.find_member(room, username)
    if member is None:
        raise NoSuchMember
    return member


# Changing and deleting rooms


def change_room(*, user_id: int, room_id: int, title: str | None, topic: str | None) -> Room:
    """Raises NoSuchRoom, Forbidden."""
    with _managed(user_id, room_id) as (here, _):
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
    with _managed(user_id, room_id, permission, private=as_staff) as (here, role):
        if role != Role.OWNER:
            raise Forbidden("Only an owner may delete a room")
        room = here.room
        _lock_members(room)
        Member.objects.filter(room=room).delete()
        room.deleted_at, room.member_count = timezone.now(), 0
        room.access += 1
        room.save(update_fields=["deleted_at", "member_count", "access"])
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
def _managed(
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
