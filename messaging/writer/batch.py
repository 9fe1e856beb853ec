"""One batch of messages and read marks on its way into the database, under the locks it needs.

What is decided about each is here, the SQL in `statements`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.kernel.errors import DomainError, Forbidden, SessionEnded, invalid
from accounts.kernel.names import name_key
from messaging.errors import ClientIdReused, SenderMismatch
from messaging.events import MessageState
from messaging.models import Message
from messaging.selectors import state_of
from rooms.errors import REMOVED, NoSuchRoom
from rooms.models import Ban, Room, RoomKind, other_of

from .commands import Draft, Sent
from .read_markers import MarkRead, ReadMarker, ReadMarkers
from .sql import (
    ADVANCE_READ_MARKERS,
    INSERT_MESSAGE,
    UPDATE_ROOM_COUNTERS,
    active_senders,
    allocate_ids,
    bare_cursor,
    lock_members,
    lock_rooms,
    one_round_trip,
    replyable_messages,
    used_client_ids,
    write,
)


@dataclass(frozen=True, slots=True)
class EarlierSend:
    """What a `client_id` was used for: the digest of what it said, and the message."""

    digest: str
    message: MessageState


@dataclass(slots=True)
class LockedRoom:
    """What a message needs of a locked room; a model's instance costs ten times more."""

    pk: int
    kind: str
    name: str | None
    low_id: int | None
    high_id: int | None
    last_seq: int
    version: int
    access_epoch: int

    def as_model(self) -> Room:
        room = Room(pk=self.pk, kind=self.kind, name=self.name)
        room.low_id, room.high_id, room.access_epoch = self.low_id, self.high_id, self.access_epoch
        return room


class MessageBatch:
    """Made inside a transaction; `enter` each draft in order, `mark` what is read, then `save`."""

    def __init__(self, drafts: Sequence[Draft], marks: Sequence[MarkRead] = ()) -> None:
        self._now = timezone.now()
        # The room's lock is the first: whatever is read after it is read under it.
        with one_round_trip():
            rooms = lock_rooms({draft.room_id for draft in drafts})
            members = lock_members(_members_to_lock(drafts, marks))
            authors = active_senders({(one.room_id, one.user_id, one.session_id) for one in drafts})
            used = used_client_ids(
                {(one.room_id, one.user_id, one.client_id) for one in drafts if one.client_id}
            )
            quotable = replyable_messages({draft.reply_to for draft in drafts if draft.reply_to})
            free_ids = allocate_ids(len(drafts))
            self._rooms = {row[0]: LockedRoom(*row) for row in rooms()}
            self._markers = ReadMarkers(members())
            self._names, self._members = _names_and_members(authors())
            found = [pk for (pk,) in used()]
            self._quotable: dict[int, int] = dict(quotable())
            """The room of each message that may be replied to."""
            self._free_ids = iter([pk for (pk,) in free_ids()])
        self._known = self._load_known(found)
        self._new: list[tuple[Draft, MessageState]] = []
        self._joining: dict[tuple[int, int], int] = {}

    def enter(self, draft: Draft) -> Sent:
        """Counts a message in, or finds the one that its `client_id` has made already.

        Raises SessionEnded, NoSuchRoom, Forbidden, SenderMismatch, ClientIdReused, Invalid.
        """
        username = self._names.get((draft.session_id, draft.user_id))
        if username is None:
            raise SessionEnded
        room = self._rooms.get(draft.room_id)
        if room is None:
            raise NoSuchRoom
        self._admit(room, draft.user_id)
        if draft.username is not None and name_key(draft.username) != name_key(username):
            raise SenderMismatch
        if draft.client_id is not None:
            known = self._known.get((room.pk, draft.user_id, draft.client_id))
            if known is not None:
                return _again(known, draft)
        if draft.reply_to is not None and self._quotable.get(draft.reply_to) != room.pk:
            raise invalid("reply_to", "is not a message of this room")
        return Sent(self._count_in(draft, room, username), duplicate=False)

    def _admit(self, room: LockedRoom, user_id: int) -> None:
        """Judged under the lock that a removal takes too. Sending joins a public room."""
        if (room.pk, user_id) in self._members:
            return
        if room.kind != RoomKind.PUBLIC:
            raise NoSuchRoom
        if Ban.objects.filter(room_id=room.pk, user_id=user_id).exists():
            raise Forbidden(REMOVED)

    def _count_in(self, draft: Draft, room: LockedRoom, username: str) -> MessageState:
        if (room.pk, draft.user_id) not in self._members:
            # Sending joins a public room.
            self._members.add((room.pk, draft.user_id))
            self._joining[room.pk, draft.user_id] = room.last_seq
        room.last_seq += 1
        room.version += 1
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
        )
        self._new.append((draft, message))
        self._markers.note_message(message)
        if draft.client_id is not None:
            key = (room.pk, draft.user_id, draft.client_id)
            self._known[key] = EarlierSend(draft.digest, message)
        return message

    def _load_known(self, found: Sequence[int]) -> dict[tuple[int, int, str], EarlierSend]:
        if not found:
            return {}
        messages = Message.objects.select_related("sender").in_bulk(found)
        return {
            (row.room_id, row.sender_id, row.client_id or ""): EarlierSend(
                row.client_digest, state_of(row, self._rooms[row.room_id].as_model())
            )
            for row in messages.values()
            if row.room_id in self._rooms
        }

    def mark(self, mark: MarkRead) -> ReadMarker | DomainError:
        """Moves a read marker, after the messages of the batch, which may be what it marks."""
        room = self._rooms.get(mark.room_id)
        return self._markers.move(mark, room.last_seq if room else 0)

    def save(self) -> None:
        """Writes what was entered and marked. The caller commits."""
        moved = self._markers.moved()
        if not moved:  # a message moves the marker of its sender
            return
        cursor = bare_cursor()
        with one_round_trip():
            if self._new:
                self._save_messages(cursor)
            write(cursor, ADVANCE_READ_MARKERS, moved)

    def _save_messages(self, cursor: Any) -> None:
        now = connection.ops.adapt_datetimefield_value(self._now)
        write(cursor, INSERT_MESSAGE, [_row(*new, now) for new in self._new])
        changed = {message.room_id: self._rooms[message.room_id] for _, message in self._new}
        rooms = [(room.last_seq, room.version, now, room.pk) for room in changed.values()]
        write(cursor, UPDATE_ROOM_COUNTERS, rooms)
        if self._joining:
            cursor.executemany(
                "INSERT INTO rooms_member (room_id, user_id, role, last_read_seq, muted, joined_at)"
                " VALUES (%s, %s, 'member', %s, FALSE, %s)",
                [(*key, last_seq, now) for key, last_seq in self._joining.items()],
            )
            cursor.executemany(
                "UPDATE rooms_room SET member_count = member_count + 1 WHERE id = %s",
                [(room_id,) for room_id, _ in self._joining],
            )


def _members_to_lock(drafts: Sequence[Draft], marks: Sequence[MarkRead]) -> set[tuple[int, int]]:
    """Those whose read markers may move. SQLite has no locks of rows to take in an order."""
    keys = {(mark.room_id, mark.user_id) for mark in marks}
    if connection.features.has_select_for_update:
        keys |= {(draft.room_id, draft.user_id) for draft in drafts}
    return keys


def _names_and_members(
    senders: Iterable[tuple[int, int, int, str, bool]],
) -> tuple[dict[tuple[int, int], str], set[tuple[int, int]]]:
    """Names of users with a good sign-in, by session and user. Members, by room and user."""
    names: dict[tuple[int, int], str] = {}
    members: set[tuple[int, int]] = set()
    for room_id, user_id, session_id, username, belongs in senders:
        names[session_id, user_id] = username
        if belongs:
            members.add((room_id, user_id))
    return names, members


def _row(draft: Draft, message: MessageState, now: Any) -> tuple[Any, ...]:
    return (
        message.id,
        message.room_id,
        message.sender,
        message.seq,
        message.version,
        message.version,
        message.content,
        now,
        message.reply_to,
        message.client_id,
        draft.digest,
    )


def _again(known: EarlierSend, draft: Draft) -> Sent:
    if known.digest != draft.digest:
        raise ClientIdReused
    return Sent(known.message, duplicate=True)
