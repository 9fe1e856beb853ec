"""Sends, edits and deletes messages, reacts to them and marks them read."""

import asyncio
import functools
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

from django.conf import settings
from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.db import writing
from accounts.kernel.db_connections import release_connection
from accounts.kernel.errors import Busy, Forbidden
from accounts.kernel.events import Event, publish
from accounts.kernel.names import name_key
from accounts.kernel.rate_limits import consume_locally
from rooms.membership import join_room
from rooms.models import Role
from rooms.selectors import (
    RoomAccess,
    acting_role,
    room_access,
    staff_room_access,
)

from .errors import MessageDeleted, NoSuchMessage, SenderMismatch, TooManyReactions
from .events import MessageEdited, MessageErased, MessageState, ReactionsChanged
from .models import ChangeKind, LaterChange, Message, Reaction
from .selectors import state_of
from .validation import clean_text, digest_of
from .writer.commands import Draft, Sent
from .writer.queue import Writer
from .writer.read_markers import MarkRead, ReadMarker

MAX_REACTION_KINDS = 50
MAX_SHOWN_REACTORS = 50

T = TypeVar("T")


@functools.cache
def writer() -> Writer:
    """Returns the writer of this process."""
    return Writer()


def check_sender(caller: Caller, username: str | None) -> None:
    """Raises SenderMismatch when a client claims to be another user (contract §2 and §3)."""
    if username is not None and name_key(username) != name_key(caller.username):
        raise SenderMismatch


def accept_text(*, caller: Caller, content: str, field: str = "content") -> str:
    """Checks a text and consumes the sender's rate, before any query.

    `field` is the member that held the text. Raises Invalid, RateLimited.
    """
    text = clean_text(content, field)
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    return text


def draft_message(
    *,
    caller: Caller,
    room_id: int,
    text: str,
    username: str | None = None,
    client_id: str | None = None,
    reply_to: int | None = None,
    via_room_id: int | None = None,
) -> Draft:
    """Builds the draft of a text that `accept_text` returned."""
    return Draft(
        user_id=caller.user_id,
        session_id=caller.session_id,
        room_id=room_id,
        content=text,
        digest=digest_of(text, reply_to) if client_id is not None else "",
        client_id=client_id,
        reply_to=reply_to,
        via_room_id=via_room_id,
        username=username,
    )


def send_message(draft: Draft) -> Sent:
    """Stores a message and returns it. Raises Busy and the errors of `MessageBatch.add`."""
    return _wait_for(writer().submit(draft))


async def send_message_from_loop(draft: Draft) -> Sent:
    """Stores a message from the event loop, without a thread that waits."""
    return await _wait_on_loop(writer().submit_from_loop(draft))


def _wait_for(answer: Future[T]) -> T:
    # The writer may need the connection that this thread holds while it waits.
    release_connection()
    try:
        return answer.result(settings.CHAT_DATABASE_TIMEOUT)
    except TimeoutError:
        raise Busy from None


async def _wait_on_loop(answer: asyncio.Future[T]) -> T:
    # A plain timer: `asyncio.timeout` costs several times as much, for every message.
    timer = answer.get_loop().call_later(settings.CHAT_DATABASE_TIMEOUT, _time_out, answer)
    try:
        return await answer
    finally:
        timer.cancel()


def _time_out(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(Busy())


# Changes of a message, each in one transaction under the room's lock


@dataclass(slots=True)
class _Editing:
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
def _editing(
    user_id: int, room_id: int, message_id: int, staff_permission: str = ""
) -> Iterator[_Editing]:
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
        yield _Editing(access, message)


def edit_message(*, caller: Caller, room_id: int, message_id: int, content: str) -> MessageState:
    """Changes the text of the caller's message.

    Raises Invalid, RateLimited, NoSuchRoom, NoSuchMessage, Forbidden, MessageDeleted.
    """
    text = accept_text(caller=caller, content=content)
    with _editing(caller.user_id, room_id, message_id) as editing:
        message = editing.message
        if message.sender_id != caller.user_id:
            raise Forbidden("Only the author may edit a message")
        if message.deleted:
            raise MessageDeleted
        if text != message.content:
            message.content, message.edited_at = text, timezone.now()
            editing.store(ChangeKind.EDIT, MessageEdited, "content", "edited_at")
        return editing.state()


def delete_message(*, caller: Caller, room_id: int, message_id: int) -> None:
    """Replaces a message by a tombstone; repeating it is no error.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with _editing(caller.user_id, room_id, message_id) as editing:
        message = editing.message
        if message.sender_id != caller.user_id and acting_role(editing.access) == Role.MEMBER:
            raise Forbidden("Only the author, an admin or an owner may delete a message")
        _erase(editing)


def delete_message_as_staff(*, user_id: int, room_id: int, message_id: int) -> bool:
    """Deletes a message in any room, for staff; False when it was deleted already.

    No rate limit, so that staff can delete a page of spam at once. Raises Forbidden, NoSuchRoom,
    NoSuchMessage.
    """
    with _editing(user_id, room_id, message_id, "messaging.delete_message") as editing:
        return _erase(editing)


def _erase(editing: _Editing) -> bool:
    message = editing.message
    if message.deleted:
        return False
    Reaction.objects.filter(message=message).delete()
    message.content, message.reactions, message.reply_to = "", [], None
    message.deleted = True
    editing.store(ChangeKind.DELETE, MessageErased, "content", "reactions", "reply_to", "deleted")
    return True


def add_reaction(*, caller: Caller, room_id: int, message_id: int, emoji: str) -> MessageState:
    """Adds the caller's reaction; as sending does, it joins a public room.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden, MessageDeleted, TooManyReactions.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with _editing(caller.user_id, room_id, message_id) as editing:
        message = editing.message
        if message.deleted:
            raise MessageDeleted
        entry = _reaction_entry(message, emoji)
        mine = Reaction.objects.filter(message=message, user_id=caller.user_id, emoji=emoji)
        if not mine.exists():
            if editing.access.member is None:
                join_room(user_id=caller.user_id, room_id=room_id)
            Reaction.objects.create(message=message, user_id=caller.user_id, emoji=emoji)
            entry["count"] += 1
            if len(entry["users"]) < MAX_SHOWN_REACTORS:
                entry["users"].append(caller.user_id)
            _store_reactions(editing, entry)
        return editing.state()


def remove_reaction(*, caller: Caller, room_id: int, message_id: int, emoji: str) -> MessageState:
    """Removes the caller's reaction; changes nothing without one.

    Raises RateLimited, NoSuchRoom, NoSuchMessage, Forbidden.
    """
    consume_locally("CHAT_MESSAGE_RATE", caller.user_id)
    with _editing(caller.user_id, room_id, message_id) as editing:
        message = editing.message
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
            _store_reactions(editing, entry)
        return editing.state()


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


def _store_reactions(editing: _Editing, entry: dict[str, Any]) -> None:
    others = [shown for shown in editing.message.reactions if shown["emoji"] != entry["emoji"]]
    shown = [*others, entry] if entry["count"] else others
    editing.message.reactions = sorted(shown, key=itemgetter("emoji"))
    editing.store(ChangeKind.REACTION, ReactionsChanged, "reactions")


# Read markers


def mark_read(*, caller: Caller, room_id: int, seq: int) -> ReadMarker:
    """Moves the caller's read marker to `seq`, never back and never past the last message.

    Raises NoSuchRoom, Forbidden for a banned user, NotAMember, Busy.
    """
    return _wait_for(writer().submit(MarkRead(caller.user_id, caller.username, room_id, seq)))


async def mark_read_from_loop(*, caller: Caller, room_id: int, seq: int) -> ReadMarker:
    """Moves the caller's read marker from the event loop."""
    mark = MarkRead(caller.user_id, caller.username, room_id, seq)
    return await _wait_on_loop(writer().submit_from_loop(mark))
