"""Adds and removes reactions, and keeps what a message shows of them.

A message shows for each emoji the count and the first MAX_SHOWN_REACTORS users.
"""

from operator import itemgetter
from typing import Any

from accounts.auth import Caller
from accounts.kernel.rate_limits import consume_locally
from rooms.membership import join_room

from .errors import MessageDeleted, TooManyReactions
from .events import MessageState, ReactionsChanged
from .message_changes import LockedMessage, locked_message
from .models import ChangeKind, Message, Reaction

MAX_REACTION_KINDS = 50
MAX_SHOWN_REACTORS = 50


def add_reaction(*, caller: Caller, room_id: int, message_id: int, emoji: str) -> MessageState:
    """Adds the caller's reaction; as sending does, it joins a public room.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden, MessageDeleted, TooManyReactions.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with locked_message(caller.user_id, room_id, message_id) as locked:
        message = locked.message
        if message.deleted:
            raise MessageDeleted
        entry = _reaction_entry(message, emoji)
        mine = Reaction.objects.filter(message=message, user_id=caller.user_id, emoji=emoji)
        if not mine.exists():
            if locked.access.member is None:
                join_room(user_id=caller.user_id, room_id=room_id)
            Reaction.objects.create(message=message, user_id=caller.user_id, emoji=emoji)
            entry["count"] += 1
            if len(entry["users"]) < MAX_SHOWN_REACTORS:
                entry["users"].append(caller.user_id)
            _store_reactions(locked, entry)
        return locked.state()


def remove_reaction(*, caller: Caller, room_id: int, message_id: int, emoji: str) -> MessageState:
    """Removes the caller's reaction; changes nothing without one.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with locked_message(caller.user_id, room_id, message_id) as locked:
        message = locked.message
        alike = Reaction.objects.filter(message=message, emoji=emoji)
        removed, _ = alike.filter(user_id=caller.user_id).delete()
        if removed:
            entry = _reaction_entry(message, emoji)
            entry["count"] -= 1
            if caller.user_id in entry["users"]:
                # The next user moves up. A user who reacts again goes to the end, so toggling a
                # reaction does not read the rows of a popular message every time.
                first = alike.order_by("pk").values_list("user_id", flat=True)
                entry["users"] = list(first[:MAX_SHOWN_REACTORS])
            _store_reactions(locked, entry)
        return locked.state()


# Only the entry of one emoji changes. Counting all of them took a query for each, under the room's
# lock, which blocks every send there; on SQLite every send anywhere.


def _reaction_entry(message: Message, emoji: str) -> dict[str, Any]:
    """Returns the entry of an emoji, with zero users if new. Raises TooManyReactions."""
    for shown in message.reactions:
        if shown["emoji"] == emoji:
            return dict(shown)
    if len(message.reactions) >= MAX_REACTION_KINDS:
        raise TooManyReactions
    return {"emoji": emoji, "count": 0, "users": []}


def _store_reactions(locked: LockedMessage, entry: dict[str, Any]) -> None:
    others = [shown for shown in locked.message.reactions if shown["emoji"] != entry["emoji"]]
    shown = [*others, entry] if entry["count"] else others
    locked.message.reactions = sorted(shown, key=itemgetter("emoji"))
    locked.store(ChangeKind.REACTION, ReactionsChanged, "reactions")
