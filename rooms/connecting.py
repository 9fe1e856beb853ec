"""Finds or creates the room that a user connects to by name.

Connecting never creates a deleted room again; only `services.create_room` may reuse its name. A
group of other users and a missing group are answered alike.
"""

from django.db import IntegrityError
from django.db.models import F

from accounts.kernel.errors import Forbidden, NoSuchUser
from accounts.kernel.names import check_name, is_name, name_key
from accounts.kernel.rate_limits import consume, consume_locally, refund
from accounts.selectors import find_user

from . import selectors
from .errors import NoSuchRoom, NotAMember
from .membership import join_room
from .models import Room, RoomKind
from .services import insert_room, open_private_room


def enter_public_room(*, user_id: int, name: str) -> Room:
    """Joins the public room of this name, which is created when the name is free.

    Raises NoSuchRoom for an invalid or deleted name, NotAMember for a group of other users,
    Forbidden for a banned user and for members of a group, which has its own URL, RateLimited.
    """
    room = _room_of_member(user_id, name)
    if room is None:
        return _enter_as_non_member(user_id, name)
    if room.kind == RoomKind.GROUP:
        raise Forbidden("This is a group room: connect to /ws/chat/group/<room_name>/")
    return room


def _room_of_member(user_id: int, name: str) -> Room | None:
    return selectors.rooms_of_members([(user_id, name)]).get((user_id, name))


def _enter_as_non_member(user_id: int, name: str) -> Room:
    if not is_name(name):
        raise NoSuchRoom
    rooms = Room.objects.filter(name_key=name_key(name))
    # An existing room sorts before deleted ones of the same name.
    room = rooms.order_by(F("deleted_at").desc(nulls_first=True)).first()
    if room is None:
        room = _create_on_first_use(user_id, name)
    if room.deleted_at is not None:
        raise NoSuchRoom
    if room.kind == RoomKind.GROUP:
        raise NotAMember
    consume_locally("CHAT_JOIN_RATE", user_id)
    return join_room(user_id=user_id, room_id=room.pk)


def enter_group_room(*, user_id: int, name: str) -> Room:
    """Returns the group. Raises NotAMember, also for a group that does not exist."""
    room = _room_of_member(user_id, name)
    if room is None or room.kind != RoomKind.GROUP:
        raise NotAMember
    return room


def enter_private_room(*, user_id: int, username: str) -> Room:
    """Returns the private room with a user, created if missing.

    Raises NoSuchUser, Forbidden for the caller's own name, RateLimited for a new room.
    """
    if not is_name(username):
        raise NoSuchUser
    room = selectors.rooms_of_pairs([(user_id, username)]).get((user_id, username))
    return room or open_private_room(user_id=user_id, other=find_user(username))


def _create_on_first_use(user_id: int, name: str) -> Room:
    """Creates a public room for the first user who connects.

    Raises NoSuchRoom, RateLimited.
    """
    try:
        stored = check_name(name)
    except ValueError:
        raise NoSuchRoom from None
    consume("CHAT_ROOM_RATE", user_id)
    room = Room(kind=RoomKind.PUBLIC, name=stored, name_key=name_key(stored), created_by_id=user_id)
    try:
        insert_room(room, {})
    except IntegrityError:
        refund("CHAT_ROOM_RATE", user_id)
        return Room.objects.get(name_key=room.name_key, deleted_at=None)
    return room
