"""Pins messages to their rooms (contract §6)."""

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from accounts.kernel.rate_limits import consume_locally
from rooms.models import Role, RoomKind
from rooms.selectors import RoomAccess, acting_role

from .errors import MessageDeleted, TooManyPins
from .events import MessageState, PinChanged
from .message_changes import LockedMessage, locked_message
from .models import ChangeKind, Message

MAX_PINS = 100
"""Pinned messages of a room."""
MAY_NOT_PIN = "Only an owner or an admin may pin messages"


def pin_message(*, caller: Caller, room_id: int, message_id: int) -> MessageState:
    """Pins a message; repeating it changes nothing.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden, MessageDeleted, TooManyPins.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with locked_message(caller.user_id, room_id, message_id) as locked:
        _check_may_pin(locked.access)
        if locked.message.deleted:
            raise MessageDeleted
        if locked.message.pinned_version is None:
            pinned = Message.objects.filter(room_id=room_id, pinned_version__isnull=False)
            if pinned.count() >= MAX_PINS:
                raise TooManyPins
            _store(locked, locked.access.room.version + 1)
        return locked.state()


def unpin_message(*, caller: Caller, room_id: int, message_id: int) -> MessageState:
    """Unpins a message; changes nothing when it is not pinned.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with locked_message(caller.user_id, room_id, message_id) as locked:
        _check_may_pin(locked.access)
        if locked.message.pinned_version is not None:
            _store(locked, None)
        return locked.state()


def _check_may_pin(access: RoomAccess) -> None:
    if access.room.kind != RoomKind.PRIVATE and acting_role(access) == Role.MEMBER:
        raise Forbidden(MAY_NOT_PIN)


def _store(locked: LockedMessage, pinned_version: int | None) -> None:
    locked.message.pinned_version = pinned_version
    locked.store(ChangeKind.PIN, PinChanged, "pinned_version")
