"""Tracks who is online: by sockets in this process, by leases over all processes.

A user comes online with the first socket in a room and goes offline with the last one, on any
process. Without Redis, or while it is down, each process knows its own sockets only. An `exit` that
Redis did not confirm is delayed: Redis may have paused for a moment, and the user may still be
online on another process.
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
from realtime.delivery.local_room import LocalRoom, may_announce
from realtime.delivery.subscriber import Subscriber
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import MAX_ONLINE_NAMES, Exited, Joined

from .broadcaster import Broadcaster
from .leases import EVENTS_SOCKETS, Leases
from .redis_client import REPLY_TIMEOUT, Reply, reply_in_time

EXIT_CONFIRMATION_DELAY = 3.0
"""Seconds in which every process reconnects to Redis and restores its users there."""
MAX_EXIT_DELAY = 30.0
"""Seconds that an `exit` waits at most when its user reconnects too often."""


class Arrival(NamedTuple):
    """A room's presence for a new socket. `first`: its user had none there."""

    first: bool
    online_total: int
    names: list[str]


class Presence:
    """Publishes `join` and `exit`, and lists who is online."""

    def __init__(self, hub: Hub, broadcaster: Broadcaster, leases: Leases) -> None:
        self._hub = hub
        self._broadcaster = broadcaster
        self._leases = leases
        self._loop: asyncio.AbstractEventLoop | None = None
        # Timers by room id and user id: at most one for each socket that was open here
        # MAX_EXIT_DELAY ago.
        self._pending_exits: dict[tuple[int, int], asyncio.TimerHandle] = {}

    def start(self) -> None:
        """Remembers the loop of the sockets; call on it."""
        self._loop = asyncio.get_running_loop()

    async def arrive(self, room: LocalRoom, subscriber: Subscriber) -> Arrival:
        """Counts a new subscriber, and returns who is online in the room."""
        user_id, name = subscriber.caller.user_id, subscriber.caller.username
        exit_was_pending = self._cancel_pending_exit(room.id, user_id)
        first = room.users[user_id] == 1 and not exit_was_pending
        # The first socket publishes `join`, the last one `exit`, ready or not.
        subscriber.announced = not first
        found = None
        if self._leases.active:
            entered = self._leases.enter(room.id, user_id, name)
            # In the callback: the reply to a later `leave` may come before this task continues.
            entered.add_done_callback(
                lambda reply: _record_other_sockets(subscriber, reply.result())
            )
            found = await reply_in_time(entered)
        if found is None:
            return Arrival(first, len(room.users), _some_names(room))
        is_first, room.online_total, names = found
        return Arrival(bool(is_first) and not exit_was_pending, room.online_total, names)

    async def enter(self, room: LocalRoom, subscriber: Subscriber) -> Arrival:
        """Makes the user of a socket of all rooms online in one of them, once."""
        if not subscriber.is_present:
            room.enter(subscriber)
            return await self.arrive(room, subscriber)
        return Arrival(
            first=False,
            online_total=max(room.online_total, len(room.users)),
            names=_some_names(room),
        )

    def publish_join(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Publishes `join` for a user's first socket, to that user too."""
        room.note_sent("join", subscriber.caller.user_id)
        text = encode(Joined(username=subscriber.caller.username))
        if room.announces:
            self._broadcaster.send_to_room(room.id, text)
        else:
            subscriber.send(text)

    def leave(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Releases a user's last socket here. Publishes `exit` if no process has one."""
        if not self._leases.active:
            # While the process shuts down no socket is ready: its users reconnect elsewhere.
            if subscriber.ready:
                self._exit(room, subscriber, len(room.users))
            return
        left = self._leases.leave(room.id, subscriber.caller.user_id)
        left.add_done_callback(lambda reply: self._left(room, subscriber, reply.result()))

    def _left(self, room: LocalRoom, subscriber: Subscriber, reply: list[int] | None) -> None:
        last, room.online_total = reply or (0, len(room.users))
        if not subscriber.announced:
            return
        if last:
            self._exit(room, subscriber, room.online_total)
        elif reply is None:
            self._publish_exit_later(room, subscriber, EXIT_CONFIRMATION_DELAY)

    def _exit(self, room: LocalRoom, subscriber: Subscriber, left: int) -> None:
        """Publishes `exit` at once, or later for a user who reconnects in a loop.

        If the user returns before that, neither `exit` nor `join` is published. So `join` is
        limited as well: each one except the first follows an `exit`.
        """
        wait = _consume_exit(room.id, subscriber.caller.user_id)
        if wait > 0:
            self._publish_exit_later(room, subscriber, min(wait, MAX_EXIT_DELAY))
        else:
            self.user_expired(room.id, subscriber.caller.username, left)

    def _publish_exit_later(self, room: LocalRoom, subscriber: Subscriber, delay: float) -> None:
        user_id = subscriber.caller.user_id
        self._cancel_pending_exit(room.id, user_id)
        timer = asyncio.get_running_loop().call_later(
            delay, self._publish_pending_exit, room, subscriber
        )
        self._pending_exits[room.id, user_id] = timer

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

        def publish(reply: Reply) -> None:
            # While Redis is down each process publishes to its own sockets.
            if reply.result() in {None, 1}:
                self.user_expired(room.id, name, len(room.users))

        self._leases.may_publish_exit(room.id, user_id).add_done_callback(publish)

    def _cancel_pending_exit(self, room_id: int, user_id: int) -> bool:
        """Returns whether an `exit` of this user was pending."""
        timer = self._pending_exits.pop((room_id, user_id), None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        """Publishes `join` for a user whose lease had expired (see LeaseHolder)."""
        self._publish(room_id, Joined(username=username), online_total)

    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        """Publishes `exit`, unless too many users are online (see LeaseHolder)."""
        self._publish(room_id, Exited(username=username), online_total)

    def _publish(self, room_id: int, frame: Joined | Exited, online_total: int) -> None:
        room = self._hub.rooms.get(room_id)
        if may_announce(online_total, room.events_subscribers if room is not None else 0):
            self._broadcaster.send_to_room(room_id, encode(frame))

    def online(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        """Returns which of these users are online in the room, or on an events socket.

        Not for the loop's thread.
        """
        room, events_sockets = self._hub.rooms.get(room_id), self._hub.events_sockets
        found = {user_id for user_id in user_ids if user_id in events_sockets}
        found |= {user_id for user_id in user_ids if room and user_id in room.users}
        missing = set(user_ids) - found
        if not self._leases.active or self._loop is None or not missing:
            return found
        elsewhere = asyncio.run_coroutine_threadsafe(
            self._online_elsewhere(room_id, missing), self._loop
        )
        try:
            return found | elsewhere.result(REPLY_TIMEOUT * 2)
        except TooLate:
            return found

    async def _online_elsewhere(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        in_room, on_events_socket = await asyncio.gather(
            self._leases.online(room_id, user_ids), self._leases.online(EVENTS_SOCKETS, user_ids)
        )
        return in_room | on_events_socket

    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        """Returns usernames by room id and user id of the sockets here (see LeaseHolder)."""
        return {room.id: room.names for room in self._hub.rooms.values() if room.names}


def _consume_exit(room_id: int, user_id: int) -> float:
    """Returns the seconds until one more `exit` of this user may be published."""
    rate: Rate | None = settings.CHAT_PRESENCE_RATE
    if rate is None:
        return 0.0
    wait = buckets.consume("CHAT_PRESENCE_RATE", (room_id, user_id), rate)
    if wait > 0:
        count_refusal("CHAT_PRESENCE_RATE")
    return wait


def _record_other_sockets(subscriber: Subscriber, reply: list[Any] | None) -> None:
    if reply is not None and not reply[0]:
        subscriber.announced = True


def _some_names(room: LocalRoom) -> list[str]:
    return list(islice(room.names.values(), MAX_ONLINE_NAMES))
