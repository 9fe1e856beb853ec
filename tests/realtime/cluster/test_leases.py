"""Leases of several processes on one real Redis, one `Leases` for each process."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import cast

import pytest
from pytest_django import Settings
from redis import Redis
from typing_extensions import override

from accounts.auth import Caller
from realtime.cluster.broadcaster import Broadcaster
from realtime.cluster.leases import Leases
from realtime.cluster.presence import EXIT_CONFIRMATION_DELAY, Arrival, Presence
from realtime.cluster.redis_client import RedisClients
from realtime.delivery.local_room import LocalRoom
from realtime.delivery.subscriber import Subscriber
from rooms.models import Room
from tests.factories import Wire
from tests.realtime.wiring import Holder, Observer, make_hub, send_queue
from tests.redis_server import RedisServer, redis_running

LEASE = 1.0
TIMEOUT = 5.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that writes to disk, so it keeps its data over a restart."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with redis_running(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def _short(settings: Settings, redis: RedisServer) -> None:
    settings.REDIS_URLS = [redis.url]
    settings.CHAT_PRESENCE_TTL = LEASE
    settings.CHAT_PRESENCE_MAX_USERS = None


class RecordingBroadcaster:
    """Records the frames that presence publishes."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def send_to_room(self, room_id: int, text: str) -> None:
        self.texts.append(text)


class Process(Observer, Holder):
    """A hub and its leases, as `Runtime` connects them."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts = RedisClients()
        self.leases = Leases(self.hosts, self)
        self.hub = make_hub(self)
        self.broadcaster = RecordingBroadcaster()
        self.presence = Presence(self.hub, cast(Broadcaster, self.broadcaster), self.leases)

    @override
    def user_left(self, room: LocalRoom, subscriber: Subscriber) -> None:
        self.presence.leave(room, subscriber)

    @override
    def held_users(self) -> Mapping[int, Mapping[int, str]]:
        return self.presence.held_users()

    @override
    def user_expired(self, room_id: int, username: str, online_total: int) -> None:
        self.presence.user_expired(room_id, username, online_total)

    @override
    def user_restored(self, room_id: int, username: str, online_total: int) -> None:
        self.presence.user_restored(room_id, username, online_total)

    async def start(self) -> None:
        if not self.hosts.all:
            self.hosts.start()
        self.leases.start()
        await self.until(up=True)

    async def until(self, *, up: bool) -> None:
        async with asyncio.timeout(TIMEOUT):
            while self.hosts.all[0].up != up:
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        """Stops renewing the lease."""
        for task in self.leases._tasks:
            task.cancel()

    async def close(self) -> None:
        self.stop()
        for host in self.hosts.all:
            await host.close()

    def subscribe(self, room_id: int, user_id: int) -> Subscriber:
        caller = Caller(user_id, f"user{user_id}", 1, 0)
        subscriber = Subscriber(send_queue(Wire()), caller, room_id, 0)
        self.hub.subscribe(subscriber, Room(pk=room_id))
        return subscriber

    def room(self, room_id: int) -> LocalRoom:
        return self.hub.rooms[room_id]

    async def arrives(self, room_id: int, user_id: int) -> Arrival:
        """Subscribes a socket up to its `ready`."""
        subscriber = self.subscribe(room_id, user_id)
        arrival = await self.presence.arrive(self.room(room_id), subscriber)
        subscriber.announced = True
        return arrival

    def leaves(self, room_id: int) -> None:
        for subscriber in self.room(room_id).subscribers():
            self.hub.unsubscribe(subscriber)

    def exits(self, user_id: int) -> int:
        return self._count("exit", user_id)

    def joins(self, user_id: int) -> int:
        return self._count("join", user_id)

    def _count(self, kind: str, user_id: int) -> int:
        published = [json.loads(text) for text in self.broadcaster.texts]
        return sum((one["type"], one["username"]) == (kind, f"user{user_id}") for one in published)


@asynccontextmanager
async def processes(count: int) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        made = [Process() for _ in range(count)]
        for one in made:
            await one.start()
            stack.push_async_callback(one.close)
        yield made


@contextmanager
def away(redis: RedisServer) -> Iterator[None]:
    redis.kill()
    try:
        yield
    finally:
        redis.start()


async def wait_for_exit(process: Process, user_id: int) -> None:
    async with asyncio.timeout(EXIT_CONFIRMATION_DELAY + TIMEOUT):
        while not process.exits(user_id):
            await asyncio.sleep(0.05)


async def test_live_users_stay_online_when_redis_is_away_longer_than_a_lease(
    redis: RedisServer,
) -> None:
    async with processes(2) as (first, second):
        await first.arrives(1, 11)
        await second.arrives(1, 12)
        redis.kill()
        # One of the two reaches Redis first when it is back.
        second.stop()
        await first.until(up=False)
        await asyncio.sleep(LEASE)
        redis.start()
        await first.until(up=True)
        await asyncio.sleep(LEASE / 4)
        await second.start()
        await asyncio.sleep(LEASE * 2)
        assert first.exits(12) == second.exits(11) == 0
        assert await first.leases.online(1, [11, 12]) == {11, 12}


async def test_live_users_stay_online_beyond_a_lease() -> None:
    async with processes(2) as (first, second):
        await first.arrives(5, 51)
        await second.arrives(5, 52)
        await asyncio.sleep(LEASE * 2.5)
        assert first.exits(52) == second.exits(51) == 0


async def test_users_of_a_dead_process_are_reaped_by_another() -> None:
    async with processes(1) as (stays,):
        async with processes(1) as (dies,):
            await dies.arrives(2, 21)
        async with asyncio.timeout(TIMEOUT):
            while not stays.exits(21):
                await asyncio.sleep(0.05)
        assert await stays.leases.online(2, [21]) == set()


async def test_exit_is_published_when_the_last_socket_closes_before_ready() -> None:
    async with processes(2) as (first, second):
        await first.arrives(3, 31)
        unready = second.subscribe(3, 31)
        await second.presence.arrive(second.room(3), unready)
        for process in (first, second):
            assert first.exits(31) + second.exits(31) == 0
            process.leaves(3)
            # One host answers in order: the departure is published by now.
            await process.leases.online(3, [31])
        assert (first.exits(31), second.exits(31)) == (0, 1)


async def test_user_on_another_process_stays_online_while_redis_pauses(
    redis: RedisServer,
) -> None:
    async with processes(2) as (first, second):
        for process in (first, second):
            await process.arrives(6, 61)
        await first.arrives(6, 62)
        with away(redis):
            first.leaves(6)
            await first.until(up=False)
        await wait_for_exit(first, 62)
        assert (first.exits(61), first.exits(62)) == (0, 1)


async def test_exit_is_published_while_redis_is_away(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(7, 71)
        with away(redis):
            await alone.until(up=False)
            alone.leaves(7)
            assert alone.exits(71) == 0
            await wait_for_exit(alone, 71)


async def test_user_who_returns_before_the_exit_stays_online(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(8, 81)
        with away(redis):
            await alone.until(up=False)
            alone.leaves(8)
            await asyncio.sleep(0)
            arrival = await alone.arrives(8, 81)
            assert not arrival.first
            await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.2)
        assert alone.exits(81) == 0


async def test_user_who_returns_before_redis_times_out_stays_online(
    redis: RedisServer,
) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(11, 111)
        with away(redis):
            alone.leaves(11)
            await alone.arrives(11, 111)
            await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.5)
        assert alone.exits(111) == 0


async def test_user_reaped_with_a_stalled_process_joins_again() -> None:
    async with processes(2) as (watches, stalls):
        await stalls.arrives(9, 91)
        await watches.arrives(9, 92)
        stalls.stop()
        async with asyncio.timeout(TIMEOUT):
            while not watches.exits(91):
                await asyncio.sleep(0.05)
        stalls.leases.start()
        async with asyncio.timeout(TIMEOUT):
            while not stalls.joins(91):
                await asyncio.sleep(0.05)
        assert await watches.leases.online(9, [91, 92]) == {91, 92}
        assert stalls.joins(92) == 0


async def test_users_do_not_join_again_after_redis_lost_its_data(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(10, 101)
        alone.stop()
        with Redis.from_url(redis.url) as client:
            client.flushall()
        alone.leases.start()
        async with asyncio.timeout(TIMEOUT):
            while not await alone.leases.online(10, [101]):
                await asyncio.sleep(0.05)
        assert alone.joins(101) == 0


async def test_redis_that_paused_between_heartbeats_is_probed_soon(
    redis: RedisServer, settings: Settings
) -> None:
    settings.CHAT_PRESENCE_TTL = 40
    async with processes(1) as (alone,):
        with away(redis):
            assert await alone.leases.holds(12, [1]) is None
        assert not alone.hosts.all[0].up
        await alone.until(up=True)


async def test_user_who_arrived_while_redis_was_away_joins_once(redis: RedisServer) -> None:
    async with processes(2) as (first, second):
        await second.arrives(13, 132)
        first.stop()
        with away(redis):
            await first.leases.holds(13, [1])
            await first.arrives(13, 131)
            await asyncio.sleep(LEASE * 1.2)
        first.leases.start()
        async with asyncio.timeout(TIMEOUT):
            while await second.leases.online(13, [131, 132]) != {131, 132}:
                await asyncio.sleep(0.05)
        assert first.joins(131) == 0


async def test_leases_of_a_reaped_process_end_with_it(redis: RedisServer) -> None:
    """The process dies before it notices that it was reaped."""
    async with processes(1) as (stays,):
        await stays.arrives(14, 141)
        async with processes(1) as (dies,):
            await dies.arrives(14, 142)
            dies.stop()
            async with asyncio.timeout(TIMEOUT):
                while not stays.exits(142):
                    await asyncio.sleep(0.05)
            await dies.arrives(15, 152)
            await dies.leases.count("user:152", 1)
            assert await stays.leases.online(15, [152]) == {152}
        async with asyncio.timeout(TIMEOUT):
            while await stays.leases.online(15, [152]):
                await asyncio.sleep(0.05)
        assert await stays.leases.count("user:152", 1) == 1


async def test_two_unconfirmed_departures_publish_one_exit(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        with away(redis):
            await alone.leases.holds(16, [1])
            for _ in range(2):
                await alone.arrives(16, 161)
                alone.leaves(16)
            await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.5)
            assert alone.exits(161) == 1


async def test_two_tabs_closed_while_redis_is_away_publish_one_exit(
    redis: RedisServer,
) -> None:
    async with processes(2) as (first, second):
        for one in (first, second):
            await one.arrives(17, 171)
        with away(redis):
            await asyncio.gather(first.leases.holds(17, [1]), second.leases.holds(17, [1]))
            first.leaves(17)
            second.leaves(17)
        await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.5)
        assert await first.leases.online(17, [171]) == set()
        assert first.exits(171) + second.exits(171) == 1


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "no redis"])
async def test_new_socket_receives_a_hundred_names_and_the_total(with_redis: bool) -> None:
    async with processes(1) as (started,):
        process = started if with_redis else Process()
        last = [await process.arrives(91, user_id) for user_id in range(1, 102)][-1]
        assert last.online_total == 101
        assert len(set(last.names)) == 100
