"""Two Redis share the rooms: one may die or hang without the other's rooms."""

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
    REPAIR_TIMEOUT,
    Person,
    Socket,
    assert_received_by_hint,
    fresh,
    opened,
    register,
    until_hints_arrive,
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
    """A group of two users, one on each process."""

    near: Socket
    far: Socket
    shard: int

    async def until_hints_arrive(self) -> None:
        await until_hints_arrive(self.near, self.far)

    async def receives_by_hint(self, times: int = 4) -> None:
        for number in range(times):
            await assert_received_by_hint(self.near, self.far, f"{number}")

    async def receives_by_repair(self) -> None:
        for number in range(2):
            await self.near.send(type="message", message=f"{number}")
            assert (await self.far.receive_type("message", REPAIR_TIMEOUT))[
                "message"
            ] == f"{number}"

    async def receives_by_hint_again(self) -> None:
        """Hints return when Redis does."""
        await self.until_hints_arrive()
        await self.receives_by_hint(times=2)


@asynccontextmanager
async def talks(two: Two, *alive: int) -> AsyncIterator[list[Talk]]:
    """Yields one group for each Redis, open at both ends; `alive` Redis carry hints."""
    owner = await register(two.servers[0].http, two.servers[0].ws)
    member = await register(two.servers[1].http, two.servers[1].ws)
    made = [await _a_group_on(shard, owner, member) for shard in range(2)]
    ends = [*(talk.near for talk in made), *(talk.far for talk in made)]
    async with opened(*ends), aclosing(owner.http), aclosing(member.http):
        for number in alive:
            await made[number].until_hints_arrive()
        yield made


async def _a_group_on(shard: int, owner: Person, member: Person) -> Talk:
    while True:
        name = fresh("shared")
        body = {"name": name, "members": [member.username]}
        room_id = (await owner.post("/rooms/with-members", body)).json()["id"]
        if shard_of(room_group(room_id), 2) == shard:
            return Talk(owner.group(name), member.group(name), shard)


async def test_hints_reach_other_processes_over_every_redis(two: Two) -> None:
    async with talks(two, 0, 1) as (first, second):
        await first.receives_by_hint()
        await second.receives_by_hint()


async def test_dead_redis_delays_only_its_own_rooms(two: Two) -> None:
    async with talks(two, 0, 1) as (first, second):
        two.redis[0].kill()
        try:
            await asyncio.gather(first.receives_by_repair(), second.receives_by_hint())
            async with talks(two, 1) as (_, opened_meanwhile):
                await opened_meanwhile.receives_by_hint()
        finally:
            two.redis[0].start()
        await first.receives_by_hint_again()


async def test_hanging_redis_delays_only_its_own_rooms(two: Two) -> None:
    async with talks(two, 0, 1) as (first, second):
        os.kill(two.redis[1].process.pid, signal.SIGSTOP)
        try:
            await asyncio.gather(second.receives_by_repair(), first.receives_by_hint(times=8))
        finally:
            os.kill(two.redis[1].process.pid, signal.SIGCONT)
        await second.receives_by_hint_again()


def test_rooms_are_assigned_evenly_and_stably() -> None:
    counts = [0, 0, 0]
    for room_id in range(3000):
        counts[shard_of(room_group(room_id), 3)] += 1
    assert min(counts) > 900
    # Written down: processes of two versions of this code have to agree during a rolling restart.
    assert [shard_of(room_group(room_id), 3) for room_id in range(1, 7)] == [0, 0, 2, 0, 0, 1]
