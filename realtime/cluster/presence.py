"""Knows who is online: here by the sockets, over all processes by their leases.

A user arrives with the first socket in a room and leaves with the last one, on any process. While
Redis is away, and always without it, each process knows its own sockets only. An `exit` that Redis
did not confirm is published a little later: Redis may have paused for a moment, and the user may
still be online on another process.
"""

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import TimeoutError as TooLate
from itertools import islice
from typing import Any, NamedTuple

from django.conf import settings

from accounts.kernel.metrics import count_refusal
from accounts.kernel.rate_limits import Rate, buckets
from realtime.delivery.hub import Hub
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber
from realtime.protocol import Exited, Joined, encode

from .broadcaster import Broadcaster
from .lease_scripts import MAX_NAMED
from .leases import Leases, answered
from .redis_client import ANSWER_TIMEOUT, Answer

EXIT_CONFIRMATION_DELAY = 3.0
"""Seconds in which every process finds that Redis is back and reports its users."""
MAX_EXIT_DELAY = 30.0
"""Seconds that an `exit` waits at most when its user connects and disconnects too often."""


class Arrival(NamedTuple):
    """The room when a socket joins. `first`: its user had no socket there before."""

    first: bool
    people: int
    names: list[str]


class Presence:
    def __init__(self, hub: Hub, broadcaster: Broadcaster, leases: Leases) -> None:
        self._hub = hub
        self._broadcaster = broadcaster
        self._leases = leases
        self._loop: asyncio.AbstractEventLoop | None = None
        # Departures that are not published yet, by room and user: at most one for each socket that
        # was open here EXIT_CONFIRMATION_DELAY ago.
        self._pending_exits: dict[tuple[int, int], asyncio.TimerHandle] = {}

    def start(self) -> None:
        """On the loop of the sockets."""
        self._loop = asyncio.get_running_loop()

    async def arrive(self, room: LocalRoom, subscriber: Subscriber) -> Arrival:
        """Counts a socket that has just subscribed."""
        user_id, name = subscriber.caller.user_id, subscriber.caller.username
        exit_was_pending = self._cancel_pending_exit(room.id, user_id)
        first = room.users[user_id] == 1 and not exit_was_pending
        # The first socket publishes `join`, the last one `exit`, ready or not.
        subscriber.announced = not first
        found = None
        if self._leases.active:
            entered = self._leases.enter(room.id, user_id, name)
            # In the callback: the answer to a departure may come before this continues.
            entered.add_done_callback(
                lambda answer: _record_other_sockets(subscriber, answer.result())
            )
            found = await answered(entered)
        if found is None:
            return Arrival(first, len(room.users), list(islice(room.names.values(), MAX_NAMED)))
        is_first, room.online_total, names = found
        return Arrival(bool(is_first) and not exit_was_pending, room.online_total, names)

    def publish_join(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Publishes `join` for a user's first socket, to that user too."""
        room.note_sent("join", subscriber.caller.user_id)
        text = encode(Joined(username=subscriber.caller.username))
        if room.announces:
            self._broadcaster.send_to_room(room.id, text)
        else:
            subscriber.send(text)

    def leave(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Counts out a user's last socket here. Publishes `exit` when it was the last anywhere."""
        if not self._leases.active:
            # When the process ends, sockets are not ready any more.
            if subscriber.ready:
                self._exit(room, subscriber, len(room.users))
            return
        left = self._leases.leave(room.id, subscriber.caller.user_id)
        left.add_done_callback(lambda answer: self._left(room, subscriber, answer.result()))

    def _left(self, room: LocalRoom, subscriber: Subscriber, answer: list[int] | None) -> None:
        last, room.online_total = answer or (0, len(room.users))
        if not subscriber.announced:
            return
        if last:
            self._exit(room, subscriber, room.online_total)
        elif answer is None:
            self._publish_exit_later(room, subscriber, EXIT_CONFIRMATION_DELAY)

    def _exit(self, room: LocalRoom, subscriber: Subscriber, left: int) -> None:
        """Publishes `exit` at once, or later when this user connects and disconnects in a loop.

        For a user who returns before that, neither `exit` nor `join` is published. So `join` is
        bounded as well: each one but the first follows an `exit`.
        """
        wait = _consume_exit(room.id, subscriber.caller.user_id)
        if wait > 0:
            self._publish_exit_later(room, subscriber, min(wait, MAX_EXIT_DELAY))
        else:
            self.user_expired(room.id, subscriber.caller.username, left)

    def _publish_exit_later(self, room: LocalRoom, subscriber: Subscriber, delay: float) -> None:
        user_id = subscriber.caller.user_id
        self._cancel_pending_exit(room.id, user_id)  # of an earlier departure
        asking = asyncio.get_running_loop().call_later(
            delay, self._publish_pending_exit, room, subscriber
        )
        self._pending_exits[room.id, user_id] = asking

    def _publish_pending_exit(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Publishes unless the user is online again, here or on another process."""
        user_id, name = subscriber.caller.user_id, subscriber.caller.username
        del self._pending_exits[room.id, user_id]
        now = self._hub.rooms.get(room.id)
        if now is not None and user_id in now.users:
            return
        _consume_exit(room.id, user_id)
        if not self._leases.active:
            self.user_expired(room.id, name, len(now.users) if now is not None else 0)
            return

        def publish(answer: Answer) -> None:
            # While Redis is away each process publishes to its own sockets.
            if answer.result() in {None, 1}:
                self.user_expired(room.id, name, len(room.users))

        self._leases.may_publish_exit(room.id, user_id).add_done_callback(publish)

    def _cancel_pending_exit(self, room_id: int, user_id: int) -> bool:
        """True when an `exit` of this user was pending."""
        asking = self._pending_exits.pop((room_id, user_id), None)
        if asking is not None:
            asking.cancel()
        return asking is not None

    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        """Publishes `join` for a user whose lease had expired (see LeaseHolder)."""
        self._publish(room_id, Joined(username=username), online_total)

    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        """Publishes `exit`, unless too many users are online (see LeaseHolder)."""
        self._publish(room_id, Exited(username=username), online_total)

    def _publish(self, room_id: int, frame: Joined | Exited, online_total: int) -> None:
        most: int | None = settings.CHAT_PRESENCE_MAX_USERS
        if most is None or online_total <= most:
            self._broadcaster.send_to_room(room_id, encode(frame))

    def online(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        """Which of these users have a socket in the room. For threads other than the loop's."""
        room = self._hub.rooms.get(room_id)
        found = {one for one in user_ids if one in room.users} if room else set()
        missing = set(user_ids) - found
        if not self._leases.active or self._loop is None or not missing:
            return found
        asked = asyncio.run_coroutine_threadsafe(self._leases.online(room_id, missing), self._loop)
        try:
            return found | asked.result(ANSWER_TIMEOUT * 2)
        except TooLate:
            return found

    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        """Usernames by room id and user id, of the sockets here (see LeaseHolder)."""
        return {room.id: room.names for room in self._hub.rooms.values()}


def _consume_exit(room_id: int, user_id: int) -> float:
    """Returns the seconds until one more `exit` of this user may be announced in this room."""
    rate: Rate | None = settings.CHAT_PRESENCE_RATE
    if rate is None:
        return 0.0
    wait = buckets.take("CHAT_PRESENCE_RATE", (room_id, user_id), rate)
    if wait > 0:
        count_refusal("CHAT_PRESENCE_RATE")
    return wait


def _record_other_sockets(subscriber: Subscriber, answer: list[Any] | None) -> None:
    if answer is not None and not answer[0]:
        subscriber.announced = True
