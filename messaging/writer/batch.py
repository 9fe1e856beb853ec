"""Checks and stores a batch of messages and read markers under locks.

The SQL is in `sql`.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.utils import timezone

from accounts.kernel.db import thread_connection
from accounts.kernel.errors import DomainError, Forbidden, SessionEnded, invalid
from accounts.kernel.names import name_key
from messaging.errors import SenderMismatch
from messaging.events import MessageState
from messaging.mentions import NO_MENTIONS
from messaging.quotes import Quote, quote_from
from messaging.search.index import index_new_messages
from messaging.search.words import stored_words
from rooms.errors import REMOVED, NoSuchRoom
from rooms.membership_counters import raise_counters
from rooms.models import Ban, Role, RoomKind, other_of

from .batch_mentions import BatchMentions
from .client_ids import EarlierSends
from .drafts import Draft, Sent
from .files import FreeFiles
from .read_markers import DeliveredMarker, MarkCommand, MarkDelivered, ReadMarker, ReadMarkers
from .room_versions import LockedRoom
from .sql import (
    ADVANCE_DELIVERED_MARKERS,
    ADVANCE_READ_MARKERS,
    ATTACH_FILE,
    INSERT_MENTION,
    INSERT_MESSAGE,
    UPDATE_ROOM_COUNTERS,
    active_senders,
    allocate_ids,
    bare_cursor,
    execute_bulk,
    lock_attachments,
    lock_members,
    lock_rooms,
    one_round_trip,
    replyable_messages,
    used_client_ids,
)


class MessageBatch:
    """Is used inside a transaction: `add` drafts in order, `move_marker`, `save`."""

    def __init__(
        self, drafts: Sequence[Draft], marks: Sequence[MarkCommand], mentions: BatchMentions
    ) -> None:
        self._now = timezone.now()
        self._mentions = mentions
        self._new: list[tuple[Draft, MessageState]] = []
        self._joining: dict[tuple[int, int], int] = {}
        self._earlier = EarlierSends(self._lock_and_read(drafts, marks), self._rooms)

    def _lock_and_read(self, drafts: Sequence[Draft], marks: Sequence[MarkCommand]) -> list[int]:
        """Returns the ids of messages whose `client_id` a draft repeats.

        The rooms are locked first, so that everything else is read under their locks.
        """
        with one_round_trip():
            rooms = lock_rooms({draft.room_id for draft in drafts})
            members = lock_members(_members_to_lock(drafts, marks))
            senders = active_senders({(one.room_id, one.user_id, one.session_id) for one in drafts})
            used = used_client_ids(
                {(one.room_id, one.user_id, one.client_id) for one in drafts if one.client_id}
            )
            replyable = replyable_messages({draft.reply_to for draft in drafts if draft.reply_to})
            files = lock_attachments({pk for draft in drafts for pk in draft.attachments})
            self._mentions.query(drafts)
            free_ids = allocate_ids(len(drafts))
            self._rooms = {row[0]: LockedRoom(*row) for row in rooms()}
            self._markers = ReadMarkers(members())
            self._names, self._roles = _names_and_roles(senders())
            used_ids = [pk for (pk,) in used()]
            self._replyable = {row[1]: (row[0], quote_from(*row[1:])) for row in replyable()}
            """Room and quote of each message that a draft may reply to."""
            self._files = FreeFiles(files(), self._now)
            self._free_ids = iter([pk for (pk,) in free_ids()])
        return used_ids

    def add(self, draft: Draft) -> Sent:
        """Adds a message, or finds the one that its `client_id` created before.

        Raises SessionEnded, NoSuchRoom, Forbidden, SenderMismatch, ClientIdReused, Invalid.
        """
        username = self._names.get((draft.session_id, draft.user_id))
        if username is None:
            raise SessionEnded
        room = self._rooms.get(draft.room_id)
        if room is None:
            raise NoSuchRoom
        self._check_may_send(room, draft.user_id)
        if draft.username is not None and name_key(draft.username) != name_key(username):
            raise SenderMismatch
        repeated = self._earlier.repeated(draft)
        if repeated is not None:
            return repeated
        quote = self._quote(draft, room)
        files = self._files.take(draft) if draft.attachments else []
        return Sent(self._append(draft, room, username, quote, files), duplicate=False)

    def _quote(self, draft: Draft, room: LockedRoom) -> Quote | None:
        if draft.reply_to is None:
            return None
        room_id, quote = self._replyable.get(draft.reply_to, (None, None))
        if room_id != room.pk:
            raise invalid("reply_to", "is not a message of this room")
        return quote

    def _check_may_send(self, room: LockedRoom, user_id: int) -> None:
        """Checks under the room's lock, which a removal takes, too."""
        if (room.pk, user_id) in self._roles:
            return
        if room.kind != RoomKind.PUBLIC:
            raise NoSuchRoom
        if Ban.objects.filter(room_id=room.pk, user_id=user_id).exists():
            raise Forbidden(REMOVED)

    def _append(
        self,
        draft: Draft,
        room: LockedRoom,
        username: str,
        quote: Quote | None,
        files: Sequence[dict[str, Any]],
    ) -> MessageState:
        if (room.pk, draft.user_id) not in self._roles:
            # Sending joins a public room: see `rooms.membership`.
            self._roles[room.pk, draft.user_id] = Role.MEMBER
            self._joining[room.pk, draft.user_id] = room.last_seq
        room.count_message()
        mentioned = self._mentions.of(draft, room, self._roles[room.pk, draft.user_id])
        message = MessageState(
            id=next(self._free_ids),
            seq=room.last_seq,
            version=room.version,
            room=room.name,
            room_id=room.pk,
            sender=draft.user_id,
            username=username,
            receiver=other_of(draft.user_id, room.low_id, room.high_id),
            content=draft.content,
            timestamp=self._now,
            edited_at=None,
            deleted=False,
            reply_to=draft.reply_to,
            client_id=draft.client_id,
            reactions=[],
            access_epoch=room.access_epoch,
            attachments=files,
            mentions=mentioned.user_ids,
            mentions_all=mentioned.everyone,
            quote=quote,
        )
        if mentioned is not NO_MENTIONS:
            self._mentions.note(message, mentioned)
        self._new.append((draft, message))
        self._markers.note_message(message)
        self._earlier.note(draft, message)
        return message

    def move_marker(self, mark: MarkCommand) -> ReadMarker | DeliveredMarker | DomainError:
        """Moves a marker, after the messages of the batch, which it may cover."""
        room = self._rooms.get(mark.room_id)
        last_seq = room.last_seq if room else 0
        if isinstance(mark, MarkDelivered):
            return self._markers.move_delivered(mark, last_seq)
        return self._markers.move(mark, last_seq)

    def save(self) -> None:
        """Writes messages and read markers. The caller commits."""
        moved, delivered = self._markers.moved(), self._markers.delivered()
        if not moved and not delivered:  # each message moves the marker of its sender
            return
        cursor = bare_cursor()
        with one_round_trip():
            if self._new:
                self._save_messages(cursor)
            if moved:
                execute_bulk(cursor, ADVANCE_READ_MARKERS, moved)
            if delivered:
                execute_bulk(cursor, ADVANCE_DELIVERED_MARKERS, delivered)

    def _save_messages(self, cursor: Any) -> None:
        now = thread_connection().ops.adapt_datetimefield_value(self._now)
        execute_bulk(cursor, INSERT_MESSAGE, [_row(*new, now) for new in self._new])
        index_new_messages(cursor, self._new[0][1].id, self._new[-1][1].id)
        if mentions := self._mentions.rows():
            execute_bulk(cursor, INSERT_MENTION, mentions)
        changed = {message.room_id: self._rooms[message.room_id] for _, message in self._new}
        attached = [(message.id, pk) for draft, message in self._new for pk in draft.attachments]
        if attached:
            cursor.executemany(ATTACH_FILE, attached)
        rooms = [(room.last_seq, room.version, now, room.pk) for room in changed.values()]
        execute_bulk(cursor, UPDATE_ROOM_COUNTERS, rooms)
        if self._joining:
            cursor.executemany(
                "INSERT INTO rooms_member"
                " (room_id, user_id, role, last_read_seq, delivered_seq, muted, joined_at)"
                " VALUES (%s, %s, 'member', %s, 0, FALSE, %s)",
                [(*key, last_seq, now) for key, last_seq in self._joining.items()],
            )
            cursor.executemany(
                "UPDATE rooms_room SET member_count = member_count + 1 WHERE id = %s",
                [(room_id,) for room_id, _ in self._joining],
            )
            raise_counters({user_id for _, user_id in self._joining})


def _members_to_lock(drafts: Sequence[Draft], marks: Sequence[MarkCommand]) -> set[tuple[int, int]]:
    """Returns members whose read markers may move. SQLite has no row locks to order."""
    keys = {(mark.room_id, mark.user_id) for mark in marks}
    if thread_connection().features.has_select_for_update:
        keys |= {(draft.room_id, draft.user_id) for draft in drafts}
    return keys


def _names_and_roles(
    senders: Iterable[tuple[int, int, int, str, str | None]],
) -> tuple[dict[tuple[int, int], str], dict[tuple[int, int], str]]:
    """Returns usernames by session and user, and roles of members by room and user."""
    names: dict[tuple[int, int], str] = {}
    roles: dict[tuple[int, int], str] = {}
    for room_id, user_id, session_id, username, role in senders:
        names[session_id, user_id] = username
        if role is not None:
            roles[room_id, user_id] = role
    return names, roles


def _row(draft: Draft, message: MessageState, now: Any) -> tuple[Any, ...]:
    return (
        message.id,
        message.room_id,
        message.sender,
        message.seq,
        message.version,
        message.version,
        message.content,
        stored_words(message.content, message.attachments),
        now,
        message.reply_to,
        message.client_id,
        draft.digest,
        json.dumps(message.mentions) if message.mentions else "[]",
        message.mentions_all,
        json.dumps(message.attachments) if message.attachments else "[]",
    )
