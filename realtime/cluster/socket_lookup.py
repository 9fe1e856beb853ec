"""Tells threads who has an open socket in a room, on any process.

With its own synchronous connections: a process may follow messages without serving a socket, and
then nothing else in it is connected to Redis.
"""

import time
from collections.abc import Collection, Sequence
from typing import Any

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from messaging.push.open_sockets import SocketsFound
from realtime.delivery.hub import Hub
from realtime.metrics import redis_failures

from .broker import shard_of
from .leases import EVENTS_SOCKETS, room_hash

REPLY_TIMEOUT = 1.0
RETRY_DELAY = 2.0
"""Seconds for which a host that failed is not asked again."""


class SocketLookup:
    """Looks sockets up in this process's hub, then in Redis; for one thread."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._clients: list[Any] = [
            Redis.from_url(
                url,
                socket_timeout=REPLY_TIMEOUT,
                socket_connect_timeout=REPLY_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
            )
            for url in settings.REDIS_URLS
        ]
        self._failed_at: dict[int, float] = {}

    def users_with_socket(self, room_id: int, user_ids: Collection[int]) -> SocketsFound:
        """Returns which of these users have a socket in the room (see OpenSockets).

        A socket of all rooms counts for each of them: on another process it is not known which
        rooms it follows.
        """
        found = {user_id for user_id in user_ids if self._is_here(room_id, user_id)}
        for lease in (room_id, EVENTS_SOCKETS):
            missing = [user_id for user_id in user_ids if user_id not in found]
            if not missing or not self._clients:
                break
            answers = self._held(lease, missing)
            if answers is None:
                return SocketsFound(found, is_complete=False)
            found |= {
                user_id for user_id, is_online in zip(missing, answers, strict=True) if is_online
            }
        return SocketsFound(found, is_complete=True)

    def _is_here(self, room_id: int, user_id: int) -> bool:
        room = self._hub.rooms.get(room_id)
        if room is not None and user_id in room.users:
            return True
        # A copy in one step: the loop of the sockets changes the set meanwhile.
        sockets = tuple(self._hub.events_sockets.get(user_id, ()))
        return any(room_id in socket.followed for socket in sockets)

    def _held(self, room_id: int, user_ids: Sequence[int]) -> list[Any] | None:
        name, key = room_hash(room_id)
        number = shard_of(name, len(self._clients))
        now = time.monotonic()
        if now - self._failed_at.get(number, -RETRY_DELAY) < RETRY_DELAY:
            return None
        try:
            answers: list[Any] = self._clients[number].hmget(key, user_ids)
        except (RedisError, OSError):
            redis_failures.inc()
            self._failed_at[number] = now
            return None
        return answers
