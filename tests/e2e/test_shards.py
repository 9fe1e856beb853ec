"""Two Redis share the rooms: each message crosses by its own, and one may die or hang alone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from realtime.cluster.broker import room_group, shard_of
from tests.clients import (
    BY_REPAIR,
    Person,
    Socket,
    crosses_by_hint,
    fresh,
    opened,
    register,
    until_it_crosses,
)
from tests.redis_server import RedisServer, redis_running
from tests.servers import Server, serving_together


@dataclass
class Two:
    servers: list[Server]
    redis: list[RedisServer]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder: Path = tmp_path_factory.mktemp("shards")
    with ExitStack() as stack:
        redis = [stack.enter_context(redis_running()) for _ in range(2)]
        urls = ",".join(one.url for one in redis)
        servers = stack.enter_context(
            serving_together(["uvicorn", "uvicorn"], folder, REDIS_URL=urls)
        )
        yield Two(servers, redis)


@dataclass
class Talk:
    """A group of two people, one on each process."""

    here: Socket
    there: Socket
    shard: int

    async def crosses(self) -> None:
        await until_it_crosses(self.here, self.there)

    async def says(self, times: int = 4) -> None:
        for number in range(times):
            await crosses_by_hint(self.here, self.there, f"{number}")

    async def says_without_hints(self) -> None:
        for number in range(2):
            await self.here.send(type="message", message=f"{number}")
            assert (await self.there.hear("message", BY_REPAIR))["message"] == f"{number}"

    async def says_soon_again(self) -> None:
        """Hints come back when Redis does."""
        await self.crosses()
        await self.says(times=2)


@asynccontextmanager
async def talks(two: Two, *alive: int) -> AsyncIterator[list[Talk]]:
    """One group for each Redis, open at both ends; hints cross by those that are `alive`."""
    owner = await register(two.servers[0].http, two.servers[0].ws)
    member = await register(two.servers[1].http, two.servers[1].ws)
    made = [await _a_group_on(shard, owner, member) for shard in range(2)]
    ends = [*(talk.here for talk in made), *(talk.there for talk in made)]
    async with opened(*ends), aclosing(owner.http), aclosing(member.http):
        for number in alive:
            await made[number].crosses()
        yield made


async def _a_group_on(shard: int, owner: Person, member: Person) -> Talk:
    while True:
        name = fresh("shared")
        body = {"name": name, "members": [member.username]}
        room_id = (await owner.post("/rooms/with-members", body)).json()["id"]
        if shard_of(room_group(room_id), 2) == shard:
            return Talk(owner.group(name), member.group(name), shard)


async def test_hints_cross_whichever_redis_carries_the_room(two: Two) -> None:
    async with talks(two, 0, 1) as (first, second):
        await first.says()
        await second.says()


async def test_a_dead_redis_delays_its_own_rooms_alone(two: Two) -> None:
    async with talks(two, 0, 1) as (first, second):
        two.redis[0].kill()
        try:
            await asyncio.gather(first.says_without_hints(), second.says())
            async with talks(two, 1) as (_, opened_meanwhile):
                await opened_meanwhile.says()
        finally:
            two.redis[0].start()
        await first.says_soon_again()


async def test_a_hanging_redis_delays_its_own_rooms_alone(two: Two) -> None:
    async with talks(two, 0, 1) as (first, second):
        os.kill(two.redis[1].process.pid, signal.SIGSTOP)
        try:
            await asyncio.gather(second.says_without_hints(), first.says(times=8))
        finally:
            os.kill(two.redis[1].process.pid, signal.SIGCONT)
        await second.says_soon_again()


def test_rooms_are_shared_evenly_and_always_alike() -> None:
    counts = [0, 0, 0]
    for room_id in range(3000):
        counts[shard_of(room_group(room_id), 3)] += 1
    assert min(counts) > 900
    # Written down: processes of two versions of this code have to agree during a rolling restart.
    assert [shard_of(room_group(room_id), 3) for room_id in range(1, 7)] == [0, 0, 2, 0, 0, 1]
