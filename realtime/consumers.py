"""Defines the kinds of socket: how each finds its room and who may enter."""

from typing_extensions import override

from accounts.auth import Caller
from rooms import connecting, selectors
from rooms.models import Room, RoomKind

from .connection.events_consumer import AllRoomsConsumer
from .connection.room_consumer import RoomConsumer


class PublicChatConsumer(RoomConsumer):
    """`/ws/chat/<room_name>/`: open to every signed-in user, made on first use."""

    kind = RoomKind.PUBLIC
    known_rooms = staticmethod(selectors.rooms_of_members)

    @override
    def enter(self, caller: Caller, name: str) -> Room:
        return connecting.enter_public_room(user_id=caller.user_id, name=name)


class GroupChatConsumer(RoomConsumer):
    """`/ws/chat/group/<room_name>/`: members only.

    For other users a group is as if missing.
    """

    kind = RoomKind.GROUP
    known_rooms = staticmethod(selectors.rooms_of_members)

    @override
    def enter(self, caller: Caller, name: str) -> Room:
        return connecting.enter_group_room(user_id=caller.user_id, name=name)


class PrivateChatConsumer(RoomConsumer):
    """`/ws/private/<username>/`: the private room of the caller and that user."""

    kind = RoomKind.PRIVATE
    known_rooms = staticmethod(selectors.rooms_of_pairs)

    @override
    def enter(self, caller: Caller, name: str) -> Room:
        return connecting.enter_private_room(user_id=caller.user_id, username=name)


class EventsConsumer(AllRoomsConsumer):
    """`/ws/events/`: all rooms of the caller on one socket."""
