"""Who is where, over all processes: what each process holds in Redis for as long as it lives.

Every process has a lease that it renews; what it holds (a user in a room, a count of sockets) is
noted under its name. When the lease ends, whoever looks first gives up all that the dead process
held. So a user is online while any process holds them, and nothing is left behind by a `kill -9`.
Times are those of Redis: the clocks of hosts do not matter. Only one whom Redis has answered for as
long as a lease lasts may look: those whom it did not answer are not dead.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from django.conf import settings

from .lease_scripts import COUNT, ENTER, HEARTBEAT, HELD, LEAVE, MAY_PUBLISH_EXIT, ONLINE, REAP
from .redis_client import ANSWER_TIMEOUT, Answer, Host, RedisClients

log = logging.getLogger(__name__)

HEARTBEATS_PER_LEASE = 4
TRY_AGAIN_INTERVAL = 1.0
EXIT_PUBLISHED_TTL = 10
"""Seconds between two tabs that close while Redis is away for a moment, and some."""


class LeaseHolder(Protocol):
    """Knows what this process holds, and receives what happens to leases."""

    def held_counts(self) -> Mapping[str, int]:
        """Counts of sockets by name, as Redis was told of them."""

    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        """Usernames by room id and user id."""

    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        """A user's process died. `online_total` users are left in the room."""

    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        """A user of this process had expired although the process lives.

        It could not renew its lease in time: its virtual machine or its network stood still.
        """


class Leases:
    def __init__(self, hosts: RedisClients, holder: LeaseHolder) -> None:
        self._hosts = hosts
        self._holder = holder
        self._me = uuid.uuid4().hex[:16]
        self._tasks: list[asyncio.Task[None]] = []
        self._steady_since: dict[Host, float] = {}
        self._epochs: dict[Host, str] = {}
        # Pairs of room and user who came while Redis was away: no more than have a socket here.
        self._unpublished: set[str] = set()

    def start(self) -> None:
        """On the loop of the sockets, after the hosts."""
        self._tasks = [asyncio.ensure_future(self._keep(host)) for host in self._hosts.all]

    @property
    def active(self) -> bool:
        return bool(self._hosts.all)

    # Questions. Each answers None while the host is away.

    def enter(self, room_id: int, user_id: int, name: str) -> Answer:
        """A future of [1 if nobody held them there, users in the room, names of some]."""
        room, pair = _room(room_id), _pair(room_id, user_id)
        answer = self._hosts.of(room).ask(
            ENTER, self._keys(room), self._me, _lease(), user_id, name, pair
        )
        answer.add_done_callback(
            lambda answer: self._record_report(pair, is_reported=answer.result() is not None)
        )
        return answer

    def _record_report(self, pair: str, *, is_reported: bool) -> None:
        if is_reported:
            self._unpublished.discard(pair)
        else:
            self._unpublished.add(pair)

    def leave(self, room_id: int, user_id: int) -> Answer:
        """A future of [1 if nobody holds them there any more, users left in the room]."""
        room, pair = _room(room_id), _pair(room_id, user_id)
        answer = self._hosts.of(room).ask(LEAVE, self._keys(room), user_id, pair)
        # Only then: what they came with may still be waiting for its answer.
        answer.add_done_callback(lambda _: self._unpublished.discard(pair))
        return answer

    def count(self, name: str, number: int) -> Answer:
        """Notes how many of something this process has: a future of how many there are in all."""
        key = _count(name)
        return self._hosts.of(key).ask(
            COUNT, self._keys(key), self._me, _lease(), number, f"n {name}"
        )

    def held(self, room_id: int, user_ids: Sequence[int]) -> Answer:
        """A future of something true for each of these users whom any process holds there."""
        room = _room(room_id)
        return self._hosts.of(room).ask(ONLINE, [_key(room)], *user_ids)

    def may_publish_exit(self, room_id: int, user_id: int) -> Answer:
        """A future of 1 if no process holds them there and none was told so a moment ago."""
        room = _room(room_id)
        keys = [_key(room), _key(f"told:{room_id} {user_id}")]
        return self._hosts.of(room).ask(MAY_PUBLISH_EXIT, keys, user_id, EXIT_PUBLISHED_TTL)

    async def online(self, room_id: int, user_ids: Collection[int]) -> set[int]:
        """Which of these users any process holds in the room."""
        asked = list(user_ids)
        answer = await self.held(room_id, asked)
        return {user_id for user_id, there in zip(asked, answer or (), strict=False) if there}

    def _keys(self, key: str) -> list[str]:
        return [_key(key), _key(f"held:{self._me}"), _key("processes")]

    # Keeping the lease

    async def _keep(self, host: Host) -> None:
        while True:
            try:
                await self._heartbeat(host)
            except Exception:
                # It must outlive anything: without it this process would be taken for dead.
                log.exception("The lease at Redis was not renewed")
            await host.until_down(within=settings.CHAT_PRESENCE_TTL / HEARTBEATS_PER_LEASE)
            if not host.up:
                await asyncio.sleep(TRY_AGAIN_INTERVAL)

    async def _heartbeat(self, host: Host) -> None:
        keys, new_epoch = [_key("processes"), _key("epoch")], uuid.uuid4().hex[:16]
        keys.append(_key(f"held:{self._me}"))
        answer = await host.ask(HEARTBEAT, keys, self._me, _lease(), new_epoch, anyway=True)
        if answer is None:
            return
        good, epoch = answer
        was_up, host.up = host.up, True
        forgot = self._epochs.get(host) != epoch
        self._epochs[host] = epoch
        if not (good and was_up):
            self._steady_since[host] = time.monotonic()
            await self._restore(host, given_up=not (good or forgot))
        elif time.monotonic() - self._steady_since[host] > settings.CHAT_PRESENCE_TTL:
            # Not right after Redis was away: the leases of all have ended then, also of those who
            # live and are about to renew them.
            await self._reap(host)

    async def _restore(self, host: Host, *, given_up: bool) -> None:
        """Makes Redis hold what this process holds, after it forgot it or could not be told.

        Questions keep their order, so what changes meanwhile is told after what is told here, and
        whatever is told twice changes nothing. `given_up`: it may be missing there because another
        process took this one for dead, and told the rooms so.
        """
        there = await host.ask(HELD, [_key(f"held:{self._me}")])
        if there is None:
            return
        told, mine = set(there), self._mine(host, given_up=given_up)
        for thing in told - mine.keys():
            self._give_up(thing)
        for thing, tell in mine.items():
            # A count may have changed, a user in a room is there or is not.
            if thing not in told or thing.startswith("n "):
                tell()

    def _mine(self, host: Host, *, given_up: bool) -> dict[str, Callable[[], object]]:
        """What this process holds on one host, and how to say so."""
        enter = self._reenter if given_up else self.enter
        things: dict[str, Callable[[], object]] = {}
        for room_id, people in self._holder.held_users().items():
            if self._hosts.of(_room(room_id)) is host:
                for user_id, name in people.items():
                    things[_pair(room_id, user_id)] = partial(enter, room_id, user_id, name)
        for name, number in self._holder.held_counts().items():
            if self._hosts.of(_count(name)) is host:
                things[f"n {name}"] = partial(self.count, name, number)
        return things

    def _reenter(self, room_id: int, user_id: int, name: str) -> None:
        if _pair(room_id, user_id) in self._unpublished:
            # Nobody took them for gone; the room heard `join` when they came.
            self.enter(room_id, user_id, name)
            return

        def tell(answer: Answer) -> None:
            first, people, _ = answer.result() or (0, 0, [])
            if first:
                self._holder.user_restored(room_id, name, people)

        self.enter(room_id, user_id, name).add_done_callback(tell)

    def _give_up(self, thing: str) -> Answer:
        kind, _, rest = thing.partition(" ")
        if kind == "n":
            return self.count(rest, 0)
        room_id, user_id = rest.split(" ")
        return self.leave(int(room_id), int(user_id))

    async def _reap(self, host: Host) -> None:
        """Gives up what dead processes held; several that try share the work."""
        more = 1
        while more:
            answer = await host.ask(REAP, [_key("processes")], _key(""))
            more, gone = answer or (0, [])
            for room_id, name, count in zip(gone[::3], gone[1::3], gone[2::3], strict=True):
                self._holder.user_expired(int(room_id), name, int(count))


async def answered(answer: Answer) -> Any:
    """Waits no longer than a host may take, also when a long queue is before the question."""
    await asyncio.wait([answer], timeout=ANSWER_TIMEOUT)
    return answer.result() if answer.done() else None


def _lease() -> str:
    return f"{settings.CHAT_PRESENCE_TTL}"


def _room(room_id: int) -> str:
    return f"room:{room_id}"


def _pair(room_id: int, user_id: int) -> str:
    return f"r {room_id} {user_id}"


def _count(name: str) -> str:
    return f"count:{name}"


def _key(name: str) -> str:
    return f"{settings.REDIS_PREFIX}:{name}"
