"""Changes memberships: join, leave, add, remove, ban and change roles.

A user joins a public room by `join_room` (REST, `connecting`, `following`, `messaging.reactions`)
and by sending a message. The latter, `messaging.writer.batch`, repeats the rule in SQL: the writer
already holds the room's lock, and the ORM would cost several times as much per message. All leave
the same rows (tests/messaging/test_joining.py): a member without unread messages, and a
`member_count` one higher.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db.models import F

from accounts.kernel.db import writing
from accounts.kernel.errors import Forbidden, NoSuchUser
from accounts.kernel.events import publish
from accounts.selectors import find_user

from . import selectors
from .errors import LastOwner, NoSuchMember, NotAMember
from .events import MemberLeft, MemberRemoved
from .membership_counters import raise_counters
from .models import Ban, Member, Role, Room, RoomKind
from .selectors import RoomAccess
from .services import managed_room, resolve_users

if TYPE_CHECKING:
    from accounts.kernel.fields import UserRef

LAST_OWNER = "This is the last owner of the group: make another member owner, or delete the room"


def join_room(*, user_id: int, room_id: int) -> Room:
    """Makes the caller a member of a public room; changes nothing for a member.

    Raises NoSuchRoom when the room is not public, Forbidden for a banned user.
    """
    with writing():
        access = selectors.room_access(user_id, room_id, lock=True)
        access.check_may_read()
        if access.member is not None:
            return access.room
        # Earlier messages are history, not unread.
        Member.objects.create(room=access.room, user_id=user_id, last_read_seq=access.room.last_seq)
        Room.objects.filter(pk=room_id).update(member_count=F("member_count") + 1)
        access.room.member_count += 1
        raise_counters([user_id])
    return access.room


def leave_room(*, user_id: int, room_id: int) -> None:
    """Ends the caller's membership.

    Raises NoSuchRoom, NotAMember, Forbidden for a private room, LastOwner of a group.
    """
    with writing():
        access = selectors.room_access(user_id, room_id, lock=True)
        if access.room.kind == RoomKind.PRIVATE:
            raise Forbidden("A private room cannot be left")
        if access.member is None:
            raise NotAMember
        if access.room.kind == RoomKind.GROUP and selectors.is_last_owner(access.member):
            raise LastOwner
        access_epoch = _end_membership(access.room, access.member)
        publish(MemberLeft(room_id, user_id, access_epoch))
        raise_counters([user_id])


def _end_membership(room: Room, member: Member | None) -> int:
    """Ends a membership under the room's lock and returns the new access epoch."""
    if member is not None:
        member.delete()
        room.member_count -= 1
    room.access_epoch += 1
    room.save(update_fields=["access_epoch", "member_count"])
    return room.access_epoch


def remove_member(*, user_id: int, room_id: int, username: str, as_staff: bool = False) -> int:
    """Removes a user and returns the room's version.

    No later change reaches the user. In a public room this is also a ban, until an owner or admin
    adds the user again. Users who are not members can be banned, too. Raises NoSuchRoom, Forbidden,
    NoSuchMember, LastOwner of a group.
    """
    permission = "rooms.delete_member" if as_staff else ""
    with managed_room(user_id, room_id, permission) as (access, role):
        _remove(access, role, username)
    return access.room.version


def _remove(access: RoomAccess, role: Role, username: str) -> int:
    """Removes a user under the room's lock and returns the user's id.

    In a public room this is also a ban.
    """
    member = selectors.find_member(access.room, username)
    removed_id = member.user_id if member else _non_member_id(access.room, username)
    if removed_id == access.user_id:
        raise Forbidden("Use leave to remove yourself")
    if role != Role.OWNER and member is not None and member.role != Role.MEMBER:
        raise Forbidden("Only an owner may remove owners and admins")
    if (
        access.room.kind == RoomKind.GROUP
        and member is not None
        and selectors.is_last_owner(member)
    ):
        raise LastOwner(LAST_OWNER)
    if access.room.kind == RoomKind.PUBLIC:
        Ban.objects.get_or_create(room=access.room, user_id=removed_id)
    access_epoch = _end_membership(access.room, member)
    publish(MemberRemoved(access.room.pk, removed_id, access_epoch))
    if member is not None:
        raise_counters([removed_id])
    return removed_id


def ban_user(*, user_id: int, room_id: int, username: str) -> Ban:
    """Bans a user from a public room, for staff.

    Raises NoSuchRoom, NoSuchMember, Forbidden for other kinds of room: there a removal is enough.
    """
    with managed_room(user_id, room_id, "rooms.add_ban") as (access, role):
        if access.room.kind != RoomKind.PUBLIC:
            raise Forbidden("Only public rooms have bans: remove the member from the group instead")
        return Ban.objects.get(room=access.room, user_id=_remove(access, role, username))


def lift_ban(*, user_id: int, room_id: int, banned_id: int) -> bool:
    """Lifts a ban, for staff; False when there was none. Raises NoSuchRoom."""
    with managed_room(user_id, room_id, "rooms.delete_ban") as (access, _):
        lifted, _ = Ban.objects.filter(room=access.room, user_id=banned_id).delete()
    return bool(lifted)


def _non_member_id(room: Room, username: str) -> int:
    """Returns the id of a user who could join this public room. Raises NoSuchMember."""
    if room.kind == RoomKind.PUBLIC:
        with suppress(NoSuchUser):
            return find_user(username).pk
    raise NoSuchMember


def add_members(
    *, user_id: int, room_id: int, people: "Collection[UserRef]"
) -> tuple[Room, list[str], list[str]]:
    """Adds users and lifts their bans.

    Returns the room, the added and all usernames. Raises NoSuchRoom, Forbidden, UnknownUsers.
    """
    with managed_room(user_id, room_id) as (access, _):
        users = resolve_users(people)
        Ban.objects.filter(room=access.room, user__in=users).delete()
        present = set(
            Member.objects.filter(room=access.room, user__in=users).values_list(
                "user_id", flat=True
            )
        )
        new = [user for user in users if user.pk not in present]
        Member.objects.bulk_create(
            Member(room=access.room, user=user, last_read_seq=access.room.last_seq) for user in new
        )
        access.room.member_count += len(new)
        access.room.save(update_fields=["member_count"])
        raise_counters([user.pk for user in new])
    return access.room, [user.username for user in new], selectors.member_names(access.room)


def change_role(
    *, user_id: int, room_id: int, username: str, role: Role, as_staff: bool = False
) -> Member:
    """Changes the role of a member.

    Raises NoSuchRoom, Forbidden unless the caller is an owner, NoSuchMember, LastOwner.
    """
    permission = "rooms.change_member" if as_staff else ""
    with managed_room(user_id, room_id, permission) as (access, own_role):
        if own_role != Role.OWNER:
            raise Forbidden("Only an owner may change roles")
        member = _member(access.room, username)
        if (
            role != Role.OWNER
            and access.room.kind == RoomKind.GROUP
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
