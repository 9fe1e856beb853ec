"""Two Redis share the rooms: each message crosses by its own, and one may die or hang alone."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from realtime.bus import group_of
from realtime.shards import shard_of
from tests.clients import Person, Socket, fresh, opened, register
from tests.redis_server import RedisServer, redis_running
from tests.servers import Server, serving_together

from .test_processes import BY_HINT, BY_REPAIR

pytestmark = pytest.mark.redis


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

    async def says(self, within: float, times: int = 4) -> None:
        """Several in a row: what the repair brings once a second is not there at once each time."""
        for number in range(times):
            await self.here.send(type="message", message=f"{number}")
            assert (await self.there.hear("message", within))["message"] == f"{number}"

    async def says_soon_again(self) -> None:
        """Hints come back when Redis does."""
        deadline = time.monotonic() + 15
        while True:
            try:
                await self.says(BY_HINT, times=2)
            except TimeoutError:
                assert time.monotonic() < deadline, "hints did not come back"
                await self.there.hear("message", BY_REPAIR)
            else:
                return


@asynccontextmanager
async def talks(two: Two) -> AsyncIterator[list[Talk]]:
    """One group for each Redis, open at both ends."""
    owner = await register(two.servers[0].http, two.servers[0].ws)
    member = await register(two.servers[1].http, two.servers[1].ws)
    made = [await _a_group_on(shard, owner, member) for shard in range(2)]
    async with opened(*(talk.here for talk in made), *(talk.there for talk in made)):
        await asyncio.sleep(0.3)
        yield made
    await owner.http.aclose()
    await member.http.aclose()


async def _a_group_on(shard: int, owner: Person, member: Person) -> Talk:
    while True:
        name = fresh("shared")
        body = {"name": name, "members": [member.username]}
        room_id = (await owner.post("/rooms/with-members", body)).json()["id"]
        if shard_of(group_of(room_id), 2) == shard:
            return Talk(owner.group(name), member.group(name), shard)


async def test_hints_cross_whichever_redis_carries_the_room(two: Two) -> None:
    async with talks(two) as (first, second):
        await first.says(BY_HINT)
        await second.says(BY_HINT)


async def test_a_dead_redis_delays_its_own_rooms_alone(two: Two) -> None:
    async with talks(two) as (first, second):
        two.redis[0].kill()
        try:
            await asyncio.gather(first.says(BY_REPAIR, times=2), second.says(BY_HINT))
            async with talks(two) as (_, opened_meanwhile):
                await opened_meanwhile.says(BY_HINT)
        finally:
            two.redis[0].start()
        await first.says_soon_again()


async def test_a_hanging_redis_delays_its_own_rooms_alone(two: Two) -> None:
    async with talks(two) as (first, second):
        os.kill(two.redis[1].process.pid, signal.SIGSTOP)
        try:
            await asyncio.gather(second.says(BY_REPAIR, times=2), first.says(BY_HINT, times=8))
        finally:
            os.kill(two.redis[1].process.pid, signal.SIGCONT)
        await second.says_soon_again()


def test_rooms_are_shared_evenly_and_always_alike() -> None:
    counts = [0, 0, 0]
    for room_id in range(3000):
        counts[shard_of(group_of(room_id), 3)] += 1
    assert min(counts) > 900
    # Written down: processes of two versions of this code have to agree during a rolling restart.
    assert [shard_of(group_of(room_id), 3) for room_id in range(1, 7)] == [0, 0, 2, 0, 0, 1]
