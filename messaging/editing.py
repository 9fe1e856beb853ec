"""Edits messages: only the author, and never a deleted one."""

from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.errors import Forbidden

from .errors import MessageDeleted
from .events import MessageEdited, MessageState
from .mentions import mentioned_in, replace_mentions
from .message_changes import locked_message
from .models import ChangeKind
from .search.words import stored_words
from .services import accept_text


def edit_message(*, caller: Caller, room_id: int, message_id: int, content: str) -> MessageState:
    """Changes the text of the caller's message.

    Raises Invalid, RateLimited, NoSuchRoom, NoSuchMessage, Forbidden, MessageDeleted.
    """
    text = accept_text(caller=caller, content=content)
    with locked_message(caller.user_id, room_id, message_id) as locked:
        message = locked.message
        if message.sender_id != caller.user_id:
            raise Forbidden("Only the author may edit a message")
        if message.deleted:
            raise MessageDeleted
        if text != message.content:
            message.content = text
            message.words = stored_words(text, message.attachments)
            message.edited_at = timezone.now()
            room, member = locked.access.room, locked.access.member
            role = member.role if member else None
            replace_mentions(message, mentioned_in(text, room.pk, room.kind, role))
            changed = ("content", "words", "edited_at", "mentions", "mentions_all")
            locked.store(ChangeKind.EDIT, MessageEdited, *changed)
        return locked.state()
