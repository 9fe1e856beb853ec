"""Calls the services of messages with the caller and message of a test."""

from types import SimpleNamespace

from accounts.auth import Caller
from messaging import deletion, editing, reactions
from messaging.events import MessageState
from messaging.selectors import history
from rooms.models import Room
from rooms.selectors import room_access


def edit(caller: Caller, message: MessageState, content: str) -> MessageState:
    return editing.edit_message(
        caller=caller, room_id=message.room_id, message_id=message.id, content=content
    )


def delete(caller: Caller, message: MessageState) -> None:
    deletion.delete_message(caller=caller, room_id=message.room_id, message_id=message.id)


def react(caller: Caller, message: MessageState, emoji: str = "👍") -> MessageState:
    return reactions.add_reaction(
        caller=caller, room_id=message.room_id, message_id=message.id, emoji=emoji
    )


def unreact(caller: Caller, message: MessageState, emoji: str = "👍") -> MessageState:
    return reactions.remove_reaction(
        caller=caller, room_id=message.room_id, message_id=message.id, emoji=emoji
    )


def history_of(
    room: Room, caller: Caller, *, before: int | None = None, after: int | None = None
) -> list[SimpleNamespace]:
    access = room_access(caller.user_id, room.pk)
    page = history(access, before=before, after=after, limit=3)
    return [SimpleNamespace(**message) for message in page.messages]
