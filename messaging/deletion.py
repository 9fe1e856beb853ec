"""Deletes messages: who may, and the tombstone that keeps the `seq`."""

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden
from accounts.kernel.rate_limits import consume_locally
from rooms.models import Role
from rooms.selectors import acting_role

from .attachments.services import release_files
from .events import MessageErased
from .mentions import NO_MENTIONS, replace_mentions
from .message_changes import LockedMessage, locked_message
from .models import ChangeKind, Reaction


def delete_message(*, caller: Caller, room_id: int, message_id: int) -> None:
    """Replaces a message by a tombstone; repeating it is no error.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with locked_message(caller.user_id, room_id, message_id) as locked:
        message = locked.message
        if message.sender_id != caller.user_id and acting_role(locked.access) == Role.MEMBER:
            raise Forbidden("Only the author, an admin or an owner may delete a message")
        _erase(locked)


def delete_message_as_staff(*, user_id: int, room_id: int, message_id: int) -> bool:
    """Deletes a message in any room, for staff; False when it was deleted already.

    No rate limit, so that staff can delete a page of spam at once. Raises Forbidden, NoSuchRoom,
    NoSuchMessage.
    """
    with locked_message(user_id, room_id, message_id, "messaging.delete_message") as locked:
        return _erase(locked)


def _erase(locked: LockedMessage) -> bool:
    message = locked.message
    if message.deleted:
        return False
    Reaction.objects.filter(message=message).delete()
    if message.attachments:
        release_files([message.pk])
    message.content, message.words, message.reply_to = "", "", None
    message.reactions, message.attachments = [], []
    message.deleted, message.pinned_version = True, None
    replace_mentions(message, NO_MENTIONS)
    locked.store(ChangeKind.DELETE, MessageErased, *ERASED)
    return True


ERASED = (
    *("content", "words", "reactions", "attachments", "reply_to", "deleted"),
    *("mentions", "mentions_all", "pinned_version"),
)
"""Columns that a deletion changes, besides those of every change."""
