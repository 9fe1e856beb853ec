"""Reads of rooms: what a caller may see, and what they are there."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.errors import Forbidden
from accounts.models import User
from accounts.names import name_key

from .errors import REMOVED, NoSuchRoom
from .models import Ban, Kind, Member, Role, Room


@dataclass(frozen=True, slots=True)
class Standing:
    """A room that a caller may see, and what the caller is in it."""

    room: Room
    user_id: int
    member: Member | None
    banned: bool = False

    def may_read(self) -> None:
        """Raises Forbidden for somebody who was removed from a public room."""
        if self.banned:
            raise Forbidden(REMOVED)


def visible_rooms(user_id: int) -> QuerySet[Room]:
    """All public rooms and the caller's own."""
    own = Member.objects.filter(room=OuterRef("pk"), user_id=user_id)
    return Room.objects.filter(
        Q(kind=Kind.PUBLIC) | Q(Exists(own)), deleted_at=None
    ).select_related("low", "high")


def readable_room_ids(user_id: int) -> QuerySet[Room, int]:
    """Ids of the rooms whose messages the caller may read, as a subquery."""
    banned = Ban.objects.filter(room=OuterRef("pk"), user_id=user_id)
    return visible_rooms(user_id).exclude(Exists(banned)).order_by().values_list("pk", flat=True)


def find_rooms(user_id: int, *, text: str, kind: str | None) -> QuerySet[Room]:
    """Visible rooms whose name or title starts with the text."""
    rooms = visible_rooms(user_id)
    if kind:
        rooms = rooms.filter(kind=kind)
    if text:
        rooms = rooms.filter(Q(name_key__startswith=name_key(text)) | Q(title__istartswith=text))
    return rooms


def standing(user_id: int, room_id: int, *, lock: bool = False) -> Standing:
    """The caller's standing in a room.

    With `lock`, inside a transaction, the room's row is held until it ends: nobody stores a
    message, an edit or a removal there meanwhile. Raises NoSuchRoom when the caller may not see it.
    """
    rooms = Room.objects.select_related("low", "high")
    if lock:
        rooms = rooms.select_for_update(of=("self",))
    return _stand(user_id, rooms.filter(pk=room_id, deleted_at=None).first())


def standing_by_name(user_id: int, name: str) -> Standing:
    """The same for a public or group room by its name."""
    rooms = Room.objects.filter(name_key=name_key(name), deleted_at=None)
    return _stand(user_id, rooms.first())


def _stand(user_id: int, room: Room | None) -> Standing:
    if room is None:
        raise NoSuchRoom
    member = Member.objects.filter(room=room, user_id=user_id).first()
    if member is not None:
        return Standing(room, user_id, member)
    if room.kind != Kind.PUBLIC:
        raise NoSuchRoom
    banned = Ban.objects.filter(room=room, user_id=user_id).exists()
    return Standing(room, user_id, None, banned)


def acting_role(here: Standing) -> Role:
    """What the caller may act as. Staff look after public rooms as an owner would: one made by
    connecting has no other.
    """
    role = Role(here.member.role) if here.member else Role.MEMBER
    if here.room.kind == Kind.PUBLIC and role != Role.OWNER:
        staff = User.objects.filter(pk=here.user_id, is_staff=True, is_active=True)
        return Role.OWNER if staff.exists() else role
    return role


def find_member(room: Room, username: str) -> Member | None:
    return (
        Member.objects.filter(room=room, user__username_key=name_key(username))
        .select_related("user")
        .first()
    )


def members_of(room: Room) -> QuerySet[Member]:
    return Member.objects.filter(room=room).select_related("user")


def member_names(room: Room) -> list[str]:
    """All usernames of a room, in the order of joining."""
    return list(members_of(room).order_by("pk").values_list("user__username", flat=True))


def is_last_owner(member: Member) -> bool:
    if member.role != Role.OWNER:
        return False
    others = Member.objects.filter(room_id=member.room_id, role=Role.OWNER).exclude(pk=member.pk)
    return not others.exists()
