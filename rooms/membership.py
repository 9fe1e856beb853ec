"""Writes of memberships: enter, join, leave, add, remove, ban and change roles."""

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db.models import F, Q

from accounts.kernel.db import writing
from accounts.kernel.errors import Forbidden, NoSuchUser
from accounts.kernel.events import publish
from accounts.kernel.names import is_name, name_key
from accounts.kernel.rate_limits import consume_locally
from accounts.selectors import find_user

from . import selectors
from .errors import LastOwner, NoSuchMember, NoSuchRoom, NotAMember
from .events import MemberLeft, MemberRemoved
from .models import Ban, Member, Role, Room, RoomKind
from .selectors import RoomAccess
from .services import make_on_first_use, managed_room, open_private_room, people_named

if TYPE_CHECKING:
    from accounts.kernel.fields import UserRef

LAST_OWNER = "This is the last owner of the group: make another member owner, or delete the room"


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
        room = make_on_first_use(user_id, name)
    if room.deleted_at is not None:
        raise NoSuchRoom
    if room.kind == RoomKind.GROUP:
        raise NotAMember
    consume_locally("CHAT_JOIN_RATE", user_id)
    return join_room(user_id=user_id, room_id=room.pk)


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
        access_epoch = _end_membership(here.room, here.member)
        publish(MemberLeft(room_id, user_id, access_epoch))


def _end_membership(room: Room, member: Member | None) -> int:
    """Ends a membership under the room's lock and returns the room's new access epoch."""
    if member is not None:
        member.delete()
        room.member_count -= 1
    room.access_epoch += 1
    room.save(update_fields=["access_epoch", "member_count"])
    return room.access_epoch


def remove_member(*, user_id: int, room_id: int, username: str, as_staff: bool = False) -> int:
    """Removes somebody and returns the room's version: nothing later reaches them.

    From a public room it is a ban as well, until somebody adds them again, and anybody may be
    banned: who has left, or never said a word. Raises NoSuchRoom, Forbidden, NoSuchMember,
    LastOwner of a group.
    """
    permission = "rooms.delete_member" if as_staff else ""
    with managed_room(user_id, room_id, permission) as (here, role):
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
    access_epoch = _end_membership(here.room, member)
    publish(MemberRemoved(here.room.pk, gone_id, access_epoch))
    return gone_id


def ban_user(*, user_id: int, room_id: int, username: str) -> Ban:
    """Bans anybody from a public room, for staff.

    Raises NoSuchRoom, NoSuchMember, Forbidden for other rooms, where removing is enough.
    """
    with managed_room(user_id, room_id, "rooms.add_ban") as (here, role):
        if here.room.kind != RoomKind.PUBLIC:
            raise Forbidden("Only public rooms have bans: remove the member of a group")
        return Ban.objects.get(room=here.room, user_id=_remove(here, role, username))


def lift_ban(*, user_id: int, room_id: int, banned_id: int) -> bool:
    """Lets somebody come back, for staff; False when there was no ban. Raises NoSuchRoom."""
    with managed_room(user_id, room_id, "rooms.delete_ban") as (here, _):
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
    with managed_room(user_id, room_id) as (here, _):
        users = people_named(people)
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
    with managed_room(user_id, room_id, permission) as (here, own_role):
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
