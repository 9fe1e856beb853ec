"""Stores a change of a message: an edit, a deletion, a reaction or a pin.

Each is one transaction under the room's lock and takes the room's next `version`. New messages take
theirs in `messaging.writer.room_versions`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from accounts.kernel.db import writing
from accounts.kernel.events import Event, publish
from rooms.selectors import RoomAccess, room_access, staff_room_access

from .errors import NoSuchMessage
from .events import MessageState
from .models import ChangeKind, LaterChange, Message
from .selectors import state_of


@dataclass(slots=True)
class LockedMessage:
    """A message, and the caller's access to its locked room."""

    access: RoomAccess
    message: Message

    def store(self, change: ChangeKind, event: type[Any], *fields: str) -> None:
        """Stores the message with the room's next version and publishes the event."""
        room, message = self.access.room, self.message
        room.version += 1
        message.version, message.last_change = room.version, change
        room.save(update_fields=["version"])
        message.save(update_fields=["version", "last_change", *fields])
        if settings.CHAT_FOLLOWER != "off":
            LaterChange.objects.create(room_id=room.pk, version=room.version)
        stored: Event = event(self.state())
        publish(stored)

    def state(self) -> MessageState:
        return state_of(self.message, self.access.room)


@contextmanager
def locked_message(
    user_id: int, room_id: int, message_id: int, staff_permission: str = ""
) -> Iterator[LockedMessage]:
    """Locks a room and loads a message. Raises NoSuchRoom, Forbidden, NoSuchMessage."""
    with writing():
        if staff_permission:
            access = staff_room_access(user_id, room_id, staff_permission)
        else:
            access = room_access(user_id, room_id, lock=True)
            access.check_may_read()
        message = (
            Message.objects.select_related("sender").filter(room=access.room, pk=message_id).first()
        )
        if message is None:
            raise NoSuchMessage
        yield LockedMessage(access, message)
