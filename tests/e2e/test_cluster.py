"""Processes share presence and limits through Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from websockets.exceptions import ConnectionClosed

from tests.clients import (
    FRAME_TIMEOUT,
    PASSWORD,
    Person,
    Socket,
    connect_refused,
    fresh,
    opened,
    register,
    until_hints_arrive,
)
from tests.redis_server import RedisServer, redis_running
from tests.servers import Server, serving_together

LEASE = 2
GONE_TIMEOUT = LEASE * 1.5 + 10
BACK_TIMEOUT = 20.0
LIMITS = {
    "CHAT_PRESENCE_TTL": f"{LEASE}",
    "CHAT_SOCKETS_PER_USER": "4",
    "CHAT_SOCKETS_PER_ADDRESS": "6",
    "CHAT_PENDING_PER_ADDRESS": "4",
    "CHAT_ROOM_RATE": "3/h",
    "CHAT_MESSAGE_RATE": "3/s",
    "CHAT_LOGIN_NAME_RATE": "3/h",
}


@dataclass
class Cluster:
    servers: list[Server]
    redis: list[RedisServer]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A daphne and two uvicorn with two Redis between them."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        redis = [stack.enter_context(redis_running()) for _ in range(2)]
        urls = ",".join(one.url for one in redis)
        servers = stack.enter_context(
            serving_together(["daphne", "uvicorn", "uvicorn"], folder, REDIS_URL=urls, **LIMITS)
        )
        yield Cluster(servers, redis)


@pytest.fixture
async def people(cluster: Cluster) -> AsyncIterator[list[Person]]:
    """Two users registered at the first process."""
    made = [await register(cluster.servers[0].http, cluster.servers[0].ws) for _ in range(2)]
    yield made
    for person in made:
        await person.http.aclose()


@pytest.fixture
async def guest(cluster: Cluster) -> AsyncIterator[Person]:
    """A third user, at the second process."""
    made = await register(cluster.servers[1].http, cluster.servers[1].ws)
    async with made.http:
        yield made


@pytest.fixture
async def at(cluster: Cluster) -> AsyncIterator[Any]:
    """`at(person, 1)`: the same user at another process."""
    async with AsyncExitStack() as stack:

        def move(person: Person, number: int) -> Person:
            moved = person.at(cluster.servers[number])
            stack.push_async_callback(moved.http.aclose)
            return moved

        yield move


async def online(person: Person, room_id: int) -> set[str]:
    answer = await person.get(f"/rooms/{room_id}/members")
    return {member["username"] for member in answer.json() if member["online"]}


async def nothing_but(socket: Socket, *kinds: str) -> None:
    """Expects only these frames before the answer to a ping."""
    assert {frame["type"] for frame in await socket.ping()} <= set(kinds)


@asynccontextmanager
async def bystander(guest: Person, name: str, receiver: Socket) -> AsyncIterator[Socket]:
    """Yields a socket in the room whose hints reach this socket.

    A `join` or `exit` before the subscription is lost and not repeated.
    """
    socket = guest.public(name)
    async with opened(socket):
        await until_hints_arrive(socket, receiver)
        yield socket


async def next_join(socket: Socket) -> str:
    username: str = (await socket.receive_type("join"))["username"]
    return username


@asynccontextmanager
async def opened_soon(*sockets: Socket) -> AsyncIterator[None]:
    """Retries: a released slot stays taken until every process knows of it."""
    async with AsyncExitStack() as stack:
        for socket in sockets:
            deadline = time.monotonic() + FRAME_TIMEOUT
            while not await _is_let_in(socket):
                assert time.monotonic() < deadline, "no place was given back"
                await asyncio.sleep(0.05)
            stack.push_async_exit(socket)
        yield


async def _is_let_in(socket: Socket) -> bool:
    try:
        await (await socket.__aenter__()).receive_type("ready")
    except ConnectionClosed:
        return False
    return True


async def until_all_are_there(cluster: Cluster) -> None:
    """Waits until each process holds its lease again at each Redis after a data loss."""
    async with asyncio.timeout(BACK_TIMEOUT):
        for one in cluster.redis:
            with redis.Redis(port=one.port) as client:
                while _leases(client) != len(cluster.servers):
                    await asyncio.sleep(0.05)


def _leases(client: Any) -> int:
    """Counts the leases of processes; `realtime.cluster.leases` defines the key."""
    return sum(int(client.zcard(key)) for key in client.keys("chat-*:processes"))


async def test_user_on_another_process_is_online_here(people: list[Person], at: Any) -> None:
    ila, kaushal = people
    name = fresh("online")
    async with opened(ila.public(name)), opened(at(kaushal, 1).public(name)) as (ready,):
        assert set(ready["online"]) == {ila.username, kaushal.username}
        assert ready["online_count"] == 2
        for number in range(3):
            shown = await online(at(ila, number), ready["room"]["id"])
            assert shown == {ila.username, kaushal.username}


async def test_join_and_exit_follow_the_first_and_last_socket_on_any_process(
    people: list[Person], guest: Person, at: Any
) -> None:
    ila, kaushal = people
    name = fresh("tabs")
    watching, first, second = (
        ila.public(name),
        at(kaushal, 1).public(name),
        at(kaushal, 2).public(name),
    )
    async with opened(watching) as (ready,), bystander(guest, name, watching) as other:
        room_id, others = ready["room"]["id"], {ila.username, guest.username}
        async with opened(first):
            assert await next_join(watching) == kaushal.username
            async with opened(second):
                # A second `join` would arrive over the same path before this frame.
                await second.send(type="message", message="Here too")
                frames = await watching.receive_until("message")
                assert {frame["type"] for frame in frames} <= {"typing", "message"}
                await first.connection.close()
                # No frame marks the time by which an `exit` would have arrived.
                await asyncio.sleep(0.3)
                await nothing_but(watching, "typing", "pong")
                assert await online(ila, room_id) == others | {kaushal.username}
        assert (await watching.receive_type("exit"))["username"] == kaushal.username
        assert await online(ila, room_id) == others
        # And it was the only one.
        await other.send(type="message", message="Gone")
        frames = await watching.receive_until("message")
        assert {frame["type"] for frame in frames} <= {"typing", "message"}


async def test_user_of_a_killed_process_goes_offline_everywhere(
    cluster: Cluster, people: list[Person], guest: Person, at: Any
) -> None:
    ila, kaushal = people
    name = fresh("killed")
    watching, dying = ila.public(name), at(kaushal, 2).public(name)
    async with opened(watching) as (ready,), bystander(guest, name, watching):
        others = {ila.username, guest.username}
        async with opened(dying):
            assert await next_join(watching) == kaushal.username
            cluster.servers[2].kill()
            try:
                gone = await watching.receive_type("exit", GONE_TIMEOUT)
                assert gone["username"] == kaushal.username
                for number in range(2):
                    assert await online(at(ila, number), ready["room"]["id"]) == others
            finally:
                cluster.servers[2].start()


async def test_presence_is_restored_after_redis_loses_its_data(
    cluster: Cluster, people: list[Person], at: Any
) -> None:
    ila, kaushal = people
    name = fresh("forgot")
    first, second = ila.public(name), at(kaushal, 1).public(name)
    async with opened(first, second) as (ready, _):
        room_id = ready["room"]["id"]
        for one in cluster.redis:
            one.kill()
            one.start()
        deadline = time.monotonic() + BACK_TIMEOUT
        while await online(at(ila, 2), room_id) != {ila.username, kaushal.username}:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        # Presence returns before the hints, and an `exit` lost with them is not repeated.
        await until_hints_arrive(second, first)
        await second.connection.close()
        assert (await first.receive_type("exit"))["username"] == kaushal.username


async def test_each_process_keeps_its_own_presence_without_redis(
    cluster: Cluster, people: list[Person], at: Any
) -> None:
    ila, kaushal = people
    name = fresh("alone")
    for one in cluster.redis:
        one.kill()
    try:
        first, second = ila.public(name), at(kaushal, 1).public(name)
        async with opened(first, second) as (near, far):
            assert near["online"] == [ila.username]
            assert far["online"] == [kaushal.username]
            await first.send(type="message", message="all the same", ref="1")
            assert (await second.receive_type("message"))["message"] == "all the same"
    finally:
        for one in cluster.redis:
            one.start()
    await until_all_are_there(cluster)


async def test_sockets_of_a_user_are_counted_across_processes(
    people: list[Person], at: Any
) -> None:
    ila = people[0]
    name = fresh("counted")
    sockets = [at(ila, number % 3).public(name) for number in range(4)]
    async with opened_soon(*sockets):
        late = at(ila, 1).public(name)
        assert await connect_refused(late) == (4429, "too_many_connections")
    async with opened_soon(at(ila, 2).public(name)):
        pass


async def test_sockets_of_an_address_are_counted_across_processes(
    people: list[Person], at: Any
) -> None:
    ila, kaushal = people
    name = fresh("address")
    sockets = [at(ila, number % 3).public(name) for number in range(3)]
    sockets += [at(kaushal, number % 3).public(name) for number in range(3)]
    async with opened_soon(*sockets):
        late = at(kaushal, 1).public(name)
        assert await connect_refused(late) == (4429, "too_many_connections")
    async with opened_soon(at(kaushal, 2).public(name)):
        pass


async def test_room_creation_is_counted_across_processes(people: list[Person], at: Any) -> None:
    ila, kaushal = people
    answers = [
        await at(ila, number % 3).post("/rooms", {"name": fresh("made")}) for number in range(4)
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert (await kaushal.post("/rooms", {"name": fresh("made")})).status_code == 201


async def test_password_guesses_are_counted_across_processes(people: list[Person], at: Any) -> None:
    ila = people[0]
    wrong = {"username": ila.username, "password": f"not {PASSWORD}"}
    codes = [(await at(ila, number % 3).post("/login", wrong)).status_code for number in range(5)]
    assert codes == [401, 401, 401, 429, 429]


async def test_messages_are_counted_across_processes(people: list[Person], at: Any) -> None:
    """A process reports sent messages a moment later, never before the answer."""
    ila = people[0]
    name = fresh("pace")
    sockets = [at(ila, number).public(name) for number in range(3)]
    async with opened(*sockets):
        sent = 0
        started = time.monotonic()
        while time.monotonic() - started < 4:
            socket = sockets[sent % 3]
            await socket.send(type="message", message="x", ref="1")
            answer = await _answer(socket)
            sent += answer["type"] == "ack"
            await asyncio.sleep(0.02)
        # 3 a second with a burst of 6; alone, each of the three processes would allow as many.
        once = 3 * (time.monotonic() - started) + 6
        assert sent <= once + 12


async def _answer(socket: Socket) -> dict[str, Any]:
    while True:
        frame = await socket.receive()
        if frame["type"] in ("ack", "error"):
            return frame
