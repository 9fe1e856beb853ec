"""Tracks who is online over all processes, by leases in Redis.

Each process renews a lease. What it holds (users in rooms, counts of sockets) is recorded under its
name. When a lease expires, the first process that notices releases all that the dead process held.
So a user is online while any process holds them, and a `kill -9` leaves nothing behind. Times are
those of Redis: clocks of other hosts do not matter. A process reaps only after Redis has replied to
it for a whole lease: processes that could not reach Redis are not dead.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Protocol

from django.conf import settings

from .lease_scripts import COUNT, ENTER, HEARTBEAT, HELD, LEAVE, MAY_PUBLISH_EXIT, ONLINE, REAP
from .redis_client import RedisClient, RedisClients, Reply

log = logging.getLogger(__name__)

HEARTBEATS_PER_LEASE = 4
RETRY_DELAY = 1.0
EVENTS_SOCKETS = 0
"""In place of a room's id: users with a socket of `/ws/events/`."""
EXIT_PUBLISHED_TTL = 10
"""Seconds that cover two tabs closing during one short failure of Redis, with a margin."""


class LeaseHolder(Protocol):
    """Knows what this process holds, and receives what happens to leases."""

    def held_counts(self) -> Mapping[str, int]:
        """Returns the counts of sockets by name that were reported to Redis."""

    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        """Returns usernames by room id and user id."""

    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        """A user's process died. `online_total` users are left in the room."""

    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        """A user of this process had expired although the process lives.

        It could not renew its lease in time: its virtual machine or its network stood still.
        """


class Leases:
    """Records what this process holds, and releases what dead processes held."""

    def __init__(self, redis: RedisClients, holder: LeaseHolder) -> None:
        self._redis = redis
        self._holder = holder
        self._process = uuid.uuid4().hex[:16]
        self._tasks: list[asyncio.Task[None]] = []
        self._steady_since: dict[RedisClient, float] = {}
        self._epochs: dict[RedisClient, str] = {}
        # Users (as `_pair`) who came while Redis was down: at most one for each socket here.
        self._unrecorded: set[str] = set()

    def start(self) -> None:
        """Starts the heartbeats. Call on the loop of the sockets, after the clients."""
        self._tasks = [asyncio.ensure_future(self._renew(client)) for client in self._redis.all]

    @property
    def active(self) -> bool:
        return bool(self._redis.all)

    # Each call resolves to None while the host is down.

    def enter(self, room_id: int, user_id: int, name: str) -> Reply:
        """Returns a future of [1 if no process held the user, users in the room, names]."""
        room, pair = _room(room_id), _pair(room_id, user_id)
        reply = self._redis.for_key(room).run(
            ENTER, self._keys(room), self._process, _ttl(), user_id, name, pair
        )
        reply.add_done_callback(
            lambda reply: self._note_recorded(pair, is_recorded=reply.result() is not None)
        )
        return reply

    def _note_recorded(self, pair: str, *, is_recorded: bool) -> None:
        if is_recorded:
            self._unrecorded.discard(pair)
        else:
            self._unrecorded.add(pair)

    def leave(self, room_id: int, user_id: int) -> Reply:
        """Returns a future of [1 if no process holds the user there now, users left]."""
        room, pair = _room(room_id), _pair(room_id, user_id)
        reply = self._redis.for_key(room).run(LEAVE, self._keys(room), user_id, pair)
        # In the callback: the reply to their `enter` may still be on its way and would add them.
        reply.add_done_callback(lambda _: self._unrecorded.discard(pair))
        return reply

    def count(self, name: str, number: int) -> Reply:
        """Records this process's count. Returns a future of the total of all processes."""
        key = _count(name)
        return self._redis.for_key(key).run(
            COUNT, self._keys(key), self._process, _ttl(), number, f"n {name}"
        )

    def holds(self, room_id: int, user_ids: Sequence[int]) -> Reply:
        """Returns a future of a list, truthy for each user whom any process holds."""
        room = _room(room_id)
        return self._redis.for_key(room).run(ONLINE, [_key(room)], *user_ids)

    def may_publish_exit(self, room_id: int, user_id: int) -> Reply:
        """Returns a future of 1 if no process holds the user or just published `exit`."""
        room = _room(room_id)
        keys = [_key(room), _key(f"exit-published:{room_id} {user_id}")]
        return self._redis.for_key(room).run(MAY_PUBLISH_EXIT, keys, user_id, EXIT_PUBLISHED_TTL)

    async def online(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        """Returns which of these users any process holds in the room."""
        queried = list(user_ids)
        answers = await self.holds(room_id, queried) or ()
        return {user_id for user_id, is_online in zip(queried, answers, strict=False) if is_online}

    def _keys(self, key: str) -> list[str]:
        return [_key(key), _key(f"held:{self._process}"), _key("processes")]

    # Keeping the lease

    async def _renew(self, client: RedisClient) -> None:
        while True:
            try:
                await self._heartbeat(client)
            except Exception:
                # Without this task other processes would take this one for dead.
                log.exception("The presence lease was not renewed in Redis; retrying")
            await client.wait_until_down(settings.CHAT_PRESENCE_TTL / HEARTBEATS_PER_LEASE)
            if not client.up:
                await asyncio.sleep(RETRY_DELAY)

    async def _heartbeat(self, client: RedisClient) -> None:
        keys, new_epoch = [_key("processes"), _key("epoch")], uuid.uuid4().hex[:16]
        keys.append(_key(f"held:{self._process}"))
        reply = await client.run(
            HEARTBEAT, keys, self._process, _ttl(), new_epoch, even_if_down=True
        )
        if reply is None:
            return
        was_valid, epoch = reply
        was_up, client.up = client.up, True
        lost_data = self._epochs.get(client) != epoch
        self._epochs[client] = epoch
        if not (was_valid and was_up):
            self._steady_since[client] = time.monotonic()
            await self._restore(client, was_reaped=not (was_valid or lost_data))
        elif time.monotonic() - self._steady_since[client] > settings.CHAT_PRESENCE_TTL:
            # Not right after an outage: the leases of living processes have expired too, until
            # they renew them.
            await self._reap(client)

    async def _restore(self, client: RedisClient, *, was_reaped: bool) -> None:
        """Brings Redis up to date after an outage or a loss of data.

        Calls keep their order, so later changes follow these, and a repeated call changes nothing.
        `was_reaped`: another process may have taken this one for dead, released its users and
        published their `exit`.
        """
        members = await client.run(HELD, [_key(f"held:{self._process}")])
        if members is None:
            return
        recorded, current = set(members), self._held_on(client, was_reaped=was_reaped)
        for item in recorded - current.keys():
            self._release(item)
        for item, record in current.items():
            # A recorded count may be out of date; a recorded user cannot.
            if item not in recorded or item.startswith("n "):
                record()

    def _held_on(self, client: RedisClient, *, was_reaped: bool) -> dict[str, Callable[[], object]]:
        """Returns what this process holds on one host, with the call that records each."""
        enter = self._enter_again if was_reaped else self.enter
        items: dict[str, Callable[[], object]] = {}
        for room_id, users in self._holder.held_users().items():
            if self._redis.for_key(_room(room_id)) is client:
                for user_id, name in users.items():
                    items[_pair(room_id, user_id)] = partial(enter, room_id, user_id, name)
        for name, number in self._holder.held_counts().items():
            if self._redis.for_key(_count(name)) is client:
                items[f"n {name}"] = partial(self.count, name, number)
        return items

    def _enter_again(self, room_id: int, user_id: int, name: str) -> None:
        if _pair(room_id, user_id) in self._unrecorded:
            # Redis never had them, so no `exit` was published; `join` was, when they came.
            self.enter(room_id, user_id, name)
            return

        def restored(reply: Reply) -> None:
            first, online_total, _ = reply.result() or (0, 0, [])
            if first:
                self._holder.user_restored(room_id, name, online_total)

        self.enter(room_id, user_id, name).add_done_callback(restored)

    def _release(self, item: str) -> Reply:
        kind, _, rest = item.partition(" ")
        if kind == "n":
            return self.count(rest, 0)
        room_id, user_id = rest.split(" ")
        return self.leave(int(room_id), int(user_id))

    async def _reap(self, client: RedisClient) -> None:
        """Releases what dead processes held. Several processes that reap share the work."""
        more = 1
        while more:
            reply = await client.run(REAP, [_key("processes")], _key(""))
            more, expired = reply or (0, [])
            for room_id, name, count in zip(
                expired[::3], expired[1::3], expired[2::3], strict=True
            ):
                self._holder.user_expired(int(room_id), name, int(count))


def _ttl() -> str:
    return f"{settings.CHAT_PRESENCE_TTL}"


def _room(room_id: int) -> str:
    return f"room:{room_id}"


def _pair(room_id: int, user_id: int) -> str:
    return f"r {room_id} {user_id}"


def room_hash(room_id: int) -> tuple[str, str]:
    """Returns the name of a room's users, which selects the host, and their key."""
    return _room(room_id), _key(_room(room_id))


def _count(name: str) -> str:
    return f"count:{name}"


def _key(name: str) -> str:
    return f"{settings.REDIS_PREFIX}:{name}"
