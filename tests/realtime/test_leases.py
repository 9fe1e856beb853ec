"""What processes hold in Redis: each stands here as a `Leases` of its own on one real Redis."""

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
SOON = 5.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One that writes to disk, and so comes back with what it had."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with redis_running(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def _short(settings: Settings, redis: RedisServer) -> None:
    settings.REDIS_URLS = [redis.url]
    settings.CHAT_PRESENCE_TTL = LEASE
    settings.CHAT_PRESENCE_MAX_USERS = None


class Mouth:
    """Stands in for the fan-out: remembers what the room was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def send_to_room(self, room_id: int, text: str) -> None:
        self.said.append(text)


class Process(Observer, Holder):
    """A hub and its leases, as `Runtime` connects them."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts = RedisClients()
        self.leases = Leases(self.hosts, self)
        self.hub = make_hub(self)
        self.mouth = Mouth()
        self.presence = Presence(self.hub, cast(Broadcaster, self.mouth), self.leases)

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
        async with asyncio.timeout(SOON):
            while self.hosts.all[0].up != up:
                await asyncio.sleep(0.01)

    def stop(self) -> None:
        """Its lease is not renewed any more."""
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
        """As a socket does that signs in and hears `ready`."""
        subscriber = self.subscribe(room_id, user_id)
        arrival = await self.presence.arrive(self.room(room_id), subscriber)
        subscriber.announced = True
        return arrival

    def leaves(self, room_id: int) -> None:
        for subscriber in self.room(room_id).subscribers():
            self.hub.unsubscribe(subscriber)

    def exits(self, user_id: int) -> int:
        return self._told("exit", user_id)

    def joins(self, user_id: int) -> int:
        return self._told("join", user_id)

    def _told(self, kind: str, user_id: int) -> int:
        told = [json.loads(text) for text in self.mouth.said]
        return sum((one["type"], one["username"]) == (kind, f"user{user_id}") for one in told)


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


async def told_after_all(process: Process, user_id: int) -> None:
    async with asyncio.timeout(EXIT_CONFIRMATION_DELAY + SOON):
        while not process.exits(user_id):
            await asyncio.sleep(0.05)


async def test_nobody_alive_is_given_up_when_redis_was_away_for_longer_than_a_lease(
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


async def test_nobody_alive_is_given_up_meanwhile() -> None:
    async with processes(2) as (first, second):
        await first.arrives(5, 51)
        await second.arrives(5, 52)
        await asyncio.sleep(LEASE * 2.5)
        assert first.exits(52) == second.exits(51) == 0


async def test_a_process_that_dies_is_given_up_by_another() -> None:
    async with processes(1) as (stays,):
        async with processes(1) as (dies,):
            await dies.arrives(2, 21)
        async with asyncio.timeout(SOON):
            while not stays.exits(21):
                await asyncio.sleep(0.05)
        assert await stays.leases.online(2, [21]) == set()


async def test_exit_is_told_when_the_last_socket_ends_before_it_was_ready() -> None:
    async with processes(2) as (first, second):
        await first.arrives(3, 31)
        out_of_order = second.subscribe(3, 31)
        await second.presence.arrive(second.room(3), out_of_order)
        for process in (first, second):
            assert first.exits(31) + second.exits(31) == 0
            process.leaves(3)
            # Questions to one host are answered in order: the departure was told by now.
            await process.leases.online(3, [31])
        assert (first.exits(31), second.exits(31)) == (0, 1)


async def test_nobody_is_said_to_leave_who_is_elsewhere_while_redis_pauses(
    redis: RedisServer,
) -> None:
    async with processes(2) as (first, second):
        for process in (first, second):
            await process.arrives(6, 61)
        await first.arrives(6, 62)
        with away(redis):
            first.leaves(6)
            await first.until(up=False)
        await told_after_all(first, 62)
        assert (first.exits(61), first.exits(62)) == (0, 1)


async def test_a_departure_is_told_while_redis_is_gone(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(7, 71)
        with away(redis):
            await alone.until(up=False)
            alone.leaves(7)
            assert alone.exits(71) == 0
            await told_after_all(alone, 71)


async def test_whoever_is_back_before_anybody_was_told_never_left(redis: RedisServer) -> None:
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


async def test_whoever_is_back_before_redis_failed_to_answer_is_not_said_to_leave(
    redis: RedisServer,
) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(11, 111)
        with away(redis):
            alone.leaves(11)
            await alone.arrives(11, 111)
            await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.5)
        assert alone.exits(111) == 0


async def test_whoever_was_given_up_with_a_process_that_stood_still_joins_again() -> None:
    async with processes(2) as (watches, stands_still):
        await stands_still.arrives(9, 91)
        await watches.arrives(9, 92)
        stands_still.stop()
        async with asyncio.timeout(SOON):
            while not watches.exits(91):
                await asyncio.sleep(0.05)
        stands_still.leases.start()
        async with asyncio.timeout(SOON):
            while not stands_still.joins(91):
                await asyncio.sleep(0.05)
        assert await watches.leases.online(9, [91, 92]) == {91, 92}
        assert stands_still.joins(92) == 0


async def test_nobody_joins_again_at_a_redis_that_forgot_everything(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        await alone.arrives(10, 101)
        alone.stop()
        with Redis.from_url(redis.url) as client:
            client.flushall()
        alone.leases.start()
        async with asyncio.timeout(SOON):
            while not await alone.leases.online(10, [101]):
                await asyncio.sleep(0.05)
        assert alone.joins(101) == 0


async def test_a_redis_that_paused_between_two_beats_is_found_again_soon(
    redis: RedisServer, settings: Settings
) -> None:
    settings.CHAT_PRESENCE_TTL = 40
    async with processes(1) as (alone,):
        with away(redis):
            assert await alone.leases.held(12, [1]) is None
        assert not alone.hosts.all[0].up
        await alone.until(up=True)


async def test_whoever_came_while_redis_was_away_joins_once(redis: RedisServer) -> None:
    async with processes(2) as (first, second):
        await second.arrives(13, 132)
        first.stop()
        with away(redis):
            await first.leases.held(13, [1])
            await first.arrives(13, 131)
            await asyncio.sleep(LEASE * 1.2)
        first.leases.start()
        async with asyncio.timeout(SOON):
            while await second.leases.online(13, [131, 132]) != {131, 132}:
                await asyncio.sleep(0.05)
        assert first.joins(131) == 0


async def test_what_a_process_holds_that_was_given_up_ends_with_it(redis: RedisServer) -> None:
    """It dies before it notices."""
    async with processes(1) as (stays,):
        await stays.arrives(14, 141)
        async with processes(1) as (dies,):
            await dies.arrives(14, 142)
            dies.stop()
            async with asyncio.timeout(SOON):
                while not stays.exits(142):
                    await asyncio.sleep(0.05)
            await dies.arrives(15, 152)
            await dies.leases.count("user:152", 1)
            assert await stays.leases.online(15, [152]) == {152}
        async with asyncio.timeout(SOON):
            while await stays.leases.online(15, [152]):
                await asyncio.sleep(0.05)
        assert await stays.leases.count("user:152", 1) == 1


async def test_two_departures_that_nobody_answered_for_are_told_as_one(redis: RedisServer) -> None:
    async with processes(1) as (alone,):
        with away(redis):
            await alone.leases.held(16, [1])
            for _ in range(2):
                await alone.arrives(16, 161)
                alone.leaves(16)
            await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.5)
            assert alone.exits(161) == 1


async def test_two_tabs_that_close_while_redis_is_away_are_told_as_one_exit(
    redis: RedisServer,
) -> None:
    async with processes(2) as (first, second):
        for one in (first, second):
            await one.arrives(17, 171)
        with away(redis):
            await asyncio.gather(first.leases.held(17, [1]), second.leases.held(17, [1]))
            first.leaves(17)
            second.leaves(17)
        await asyncio.sleep(EXIT_CONFIRMATION_DELAY + 0.5)
        assert await first.leases.online(17, [171]) == set()
        assert first.exits(171) + second.exits(171) == 1


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "no redis"])
async def test_a_newcomer_is_told_a_hundred_names_and_how_many_there_are(with_redis: bool) -> None:
    async with processes(1) as (started,):
        process = started if with_redis else Process()
        last = [await process.arrives(91, user_id) for user_id in range(1, 102)][-1]
        assert last.online_total == 101
        assert len(set(last.names)) == 100
