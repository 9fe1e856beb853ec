"""What processes hold in Redis: each stands here as a `Leases` of its own on one real Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from pytest_django import Settings

from accounts.auth import SignIn
from realtime.fanout import Fanout
from realtime.hub import Hub
from realtime.leases import Leases
from realtime.listener import Listener
from realtime.open_room import OpenRoom
from realtime.outbox import Outbox
from realtime.presence import Presence
from realtime.redis_hosts import Hosts
from rooms.models import Room
from tests.factories import Wire
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
    settings.CHAT_PRESENCE_LEASE = LEASE
    settings.CHAT_ANNOUNCE_UP_TO = None


class Mouth:
    """Stands in for the fan-out: remembers what the room was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, room_id: int, text: str) -> None:
        self.said.append(text)


class Process:
    """A hub and its leases, as `running` puts them together."""

    def __init__(self) -> None:
        self.hosts = Hosts()
        self.leases = Leases(self.hosts, dict)
        self.hub = Hub()
        self.hub.on_open = self.hub.on_trouble = lambda room: None
        self.hub.on_rooms_change = lambda room_id: None
        self.mouth = Mouth()
        self.presence = Presence(self.hub, cast(Fanout, self.mouth), self.leases)

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

    def attach(self, room_id: int, user_id: int) -> Listener:
        caller = SignIn(user_id, f"user{user_id}", 1, 0)
        listener = Listener(Outbox(Wire()), caller, room_id, 0)
        self.hub.attach(listener, Room(pk=room_id))
        return listener

    def here(self, room_id: int) -> OpenRoom:
        return self.hub.rooms[room_id]

    async def enter(self, room_id: int, user_id: int) -> None:
        """As a socket does that signs in and hears `ready`."""
        listener = self.attach(room_id, user_id)
        await self.presence.arrives(self.here(room_id), listener)
        listener.announced = True

    def exits(self, user_id: int) -> int:
        told = [json.loads(text) for text in self.mouth.said]
        return sum((one["type"], one["username"]) == ("exit", f"user{user_id}") for one in told)


@asynccontextmanager
async def processes(count: int) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        made = [Process() for _ in range(count)]
        for one in made:
            await one.start()
            stack.push_async_callback(one.close)
        yield made


async def test_nobody_alive_is_given_up_when_redis_was_away_for_longer_than_a_lease(
    redis: RedisServer,
) -> None:
    async with processes(2) as (first, second):
        await first.enter(1, 11)
        await second.enter(1, 12)
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
        await first.enter(5, 51)
        await second.enter(5, 52)
        await asyncio.sleep(LEASE * 2.5)
        assert first.exits(52) == second.exits(51) == 0


async def test_a_process_that_dies_is_given_up_by_another() -> None:
    async with processes(1) as (stays,):
        async with processes(1) as (dies,):
            await dies.enter(2, 21)
        async with asyncio.timeout(SOON):
            while not stays.exits(21):
                await asyncio.sleep(0.05)
        assert await stays.leases.online(2, [21]) == set()


async def test_exit_is_told_when_the_last_socket_ends_before_it_was_ready() -> None:
    async with processes(2) as (first, second):
        await first.enter(3, 31)
        early = second.attach(3, 31)
        await second.presence.arrives(second.here(3), early)
        for process in (first, second):
            assert first.exits(31) + second.exits(31) == 0
            for listener in process.here(3).listeners():
                process.hub.detach(listener)
            # Questions to one host are answered in order: the departure was told by now.
            await process.leases.online(3, [31])
        assert (first.exits(31), second.exits(31)) == (0, 1)
