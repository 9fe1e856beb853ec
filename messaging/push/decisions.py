"""Decides what happens to pushes that are due.

Nothing was decided before: the read marker, open sockets, muting and quiet hours count as they are
now, and an edited or deleted message is pushed as it is now or not at all. That a device gets
one push of a room in 10 s (CHAT_PUSH_DELAY) is in `delivery.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import Error
from django.db.models import Min, Q
from django.utils import timezone

from accounts.kernel.errors import Busy
from accounts.kernel.incidents import report_incident
from accounts.quiet_hours import is_quiet
from accounts.selectors import longest_lifetime
from messaging.models import Mention, Message
from rooms.models import Member, Notify

from .models import DuePush
from .open_sockets import OpenSockets, SocketsFound
from .schedule import MAX_AGE

MAX_CONTENT_LENGTH = 200
MAX_UNKNOWN = timedelta(seconds=60)
"""A push waits this long for the answer who has an open socket."""
UNKNOWN_DELAY = timedelta(seconds=2)
CANDIDATES = 20
"""Newest messages that are looked at for one that the user did not write."""


@dataclass(frozen=True, slots=True)
class Send:
    """The push of one message; `payload` is its JSON."""

    seq: int
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Postpone:
    until: datetime


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing to push. `given_up`: after a day of failures, or an unexpected error."""

    given_up: bool = False


Decision = Send | Postpone | Drop


def decide(rows: Sequence[DuePush], sockets: OpenSockets) -> list[tuple[DuePush, Decision]]:
    """Returns a decision for each row.

    The caller has loaded its subscription, session, user and room.
    """
    decider = _Decider(rows, sockets)
    return [(row, _decide_or_give_up(decider, row)) for row in rows]


def _decide_or_give_up(decider: "_Decider", row: DuePush) -> Decision:
    """Gives a row up that raises, which would stop all others in each round."""
    try:
        return decider.decide(row)
    except (Error, Busy):
        # About the database, not the row: the follower repeats the round.
        raise
    except Exception as error:  # noqa: BLE001 - it is reported
        report_incident(error, f"while a push was decided: {row}")
        return Drop(given_up=True)


class _Decider:
    """Reads what the decisions need, together for all rows."""

    def __init__(self, rows: Sequence[DuePush], sockets: OpenSockets) -> None:
        self._now = timezone.now()
        self._delay = timedelta(seconds=settings.CHAT_PUSH_DELAY)
        users = {row.subscription.user_id for row in rows}
        members = Member.objects.filter(room__in={row.room_id for row in rows}, user__in=users)
        self._members = {(one.room_id, one.user_id): one for one in members}
        self._online = self._read_online(rows, sockets)
        self._messages = self._read_messages(rows)

    def _read_online(
        self, rows: Iterable[DuePush], sockets: OpenSockets
    ) -> Mapping[int, SocketsFound]:
        users: dict[int, set[int]] = defaultdict(set)
        for row in rows:
            users[row.room_id].add(row.subscription.user_id)
        return {room_id: sockets.users_with_socket(room_id, ids) for room_id, ids in users.items()}

    def _read_messages(self, rows: Iterable[DuePush]) -> Mapping[tuple[int, int], list[Message]]:
        """Reads the newest messages that are old enough, for each room and wanted `seq`."""
        floors: dict[tuple[int, int], int] = {}
        for row in rows:
            floor, key = self._floor(row), (row.room_id, row.wanted_seq)
            if floor is not None and floor < row.wanted_seq:
                floors[key] = min(floor, floors.get(key, floor))
        return {
            (room_id, wanted): list(
                _unread(room_id, floor, wanted)
                .filter(created_at__lte=self._now - self._delay)
                .select_related("sender")
                .order_by("-seq")[:CANDIDATES]
            )
            for (room_id, wanted), floor in floors.items()
        }

    def _floor(self, row: DuePush) -> int | None:
        """Returns the `seq` up to which the user has read or the device has got a push."""
        member = self._members.get((row.room_id, row.subscription.user_id))
        return max(member.last_read_seq, row.pushed_seq) if member is not None else None

    def decide(self, row: DuePush) -> Decision:
        floor = self._floor(row)
        if floor is None or floor >= row.wanted_seq or not self._may_push(row):
            return Drop()
        if row.since <= self._now - MAX_AGE:
            return Drop(given_up=True)
        retry_at = row.subscription.retry_at
        if retry_at is not None and retry_at > self._now:
            return Postpone(retry_at)
        online = self._online[row.room_id]
        if row.subscription.user_id in online.users:
            return Drop()
        if not online.is_complete and row.since > self._now - self._delay - MAX_UNKNOWN:
            return Postpone(self._now + UNKNOWN_DELAY)
        return self._newest(row, floor)

    def _may_push(self, row: DuePush) -> bool:
        session, room = row.subscription.session, row.room
        member = self._members[row.room_id, row.subscription.user_id]
        return (
            session.ended_at is None
            and session.rotated_at > self._now - longest_lifetime()
            and room.deleted_at is None
            and member.notify != Notify.NONE
            and not member.is_muted(self._now)
            and not is_quiet(row.subscription.user.quiet_hours, self._now)
        )

    def _newest(self, row: DuePush, floor: int) -> Decision:
        user_id = row.subscription.user_id
        member = self._members[row.room_id, user_id]
        unread = _unread(row.room_id, floor, row.wanted_seq).exclude(sender_id=user_id)
        if member.notify == Notify.MENTIONS:
            unread = _mentioning(unread, row.room_id, user_id, floor)
            old = unread.filter(created_at__lte=self._now - self._delay)
            candidates = old.select_related("sender").order_by("-seq")[:1]
        else:
            candidates = self._messages[row.room_id, row.wanted_seq]
        for message in candidates:
            if message.seq > floor and message.sender_id != user_id:
                return Send(message.seq, _payload(row, message, member))
        young = unread.filter(created_at__gt=self._now - self._delay)
        oldest = young.aggregate(oldest=Min("created_at"))["oldest"]
        return Postpone(oldest + self._delay) if oldest is not None else Drop()


def _unread(room_id: int, floor: int, wanted: int) -> Any:
    return Message.objects.filter(room_id=room_id, seq__gt=floor, seq__lte=wanted, deleted=False)


def _mentioning(messages: Any, room_id: int, user_id: int, floor: int) -> Any:
    """Selects messages that mention the user, or everyone."""
    whom = Q(user_id=user_id) | Q(user=None)
    mentions = Mention.objects.filter(whom, room_id=room_id, seq__gt=floor)
    return messages.filter(seq__in=mentions.values("seq"))


def _payload(row: DuePush, message: Message, member: Member) -> dict[str, Any]:
    return {
        "room_id": row.room_id,
        "room": row.room.name,
        "sender": message.sender_id,
        "username": message.sender.username,
        "seq": message.seq,
        "content": message.content[:MAX_CONTENT_LENGTH],
        "unread": row.room.last_seq - member.last_read_seq,
    }
