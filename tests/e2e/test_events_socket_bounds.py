"""Sockets of all rooms with very many rooms: time to `ready`, memory, limits."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from tests.clients import Person, opened, register
from tests.servers import Server, manage, serving

ROOMS = 2000
FOLLOWED = 100
SOCKETS = 150
READY_TIMEOUT = 0.5
MEMORY_PER_SOCKET = 60_000

FILL = """
from rooms.models import Member, Room
numbers = range({count})
names = ["{prefix}" + str(number) for number in numbers]
rooms = Room.objects.bulk_create(
    Room(kind="group", name=name, name_key=name, member_count=len({users})) for name in names
)
Member.objects.bulk_create(Member(room=room, user_id=pk) for room in rooms for pk in {users})
"""


def fill(server: Server, users: list[Person], count: int, prefix: str) -> None:
    """Makes these users members of many new rooms; by REST it would take minutes."""
    ids = json.dumps([user.id for user in users])
    manage(server.environment, "shell", "-c", FILL.format(count=count, users=ids, prefix=prefix))


@pytest.fixture(scope="module")
def unbounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("unbounded")
    with serving("uvicorn", folder, CHAT_ROOMS_PER_SOCKET="off") as server:
        yield server


@pytest.fixture
async def ila(unbounded: Server) -> AsyncIterator[Person]:
    ila = await register(unbounded.http, unbounded.ws)
    async with ila.http:
        yield ila


@pytest.mark.alone
async def test_ready_of_two_thousand_rooms_comes_within_half_a_second(
    unbounded: Server, ila: Person
) -> None:
    fill(unbounded, [ila], ROOMS, "many")
    took = []
    for _ in range(5):
        socket = ila.events()
        begun = time.perf_counter()
        async with opened(socket) as (ready,):
            took.append(time.perf_counter() - begun)
            assert (len(ready["rooms"]), ready["more"]) == (ROOMS, False)
            assert (await socket.ping())[-1]["type"] == "pong"
    print(f"ready of {ROOMS} rooms within {min(took):.3f} s, at most {max(took):.3f} s")
    assert min(took) < READY_TIMEOUT


@pytest.mark.alone
async def test_idle_socket_that_follows_a_hundred_rooms_is_small(
    unbounded: Server, ila: Person
) -> None:
    friends = [await register(unbounded.http, unbounded.ws) for _ in range(9)]
    members = [ila, *friends]
    fill(unbounded, members, FOLLOWED, "shared")
    server = psutil.Process(unbounded.process.pid)

    async with AsyncExitStack() as stack:

        async def open_sockets(count: int) -> int:
            for number in range(count):
                socket = await stack.enter_async_context(members[number % 10].events())
                ready = await socket.receive_type("ready")
                assert len(ready["rooms"]) == FOLLOWED
            await asyncio.sleep(1)
            memory: int = server.memory_info().rss
            return memory

        before = await open_sockets(50)
        after = await open_sockets(SOCKETS)
        for friend in friends:
            await friend.http.aclose()
    each = (after - before) / SOCKETS
    print(f"{each / 1000:.1f} KB for each idle socket of {FOLLOWED} rooms")
    assert each < MEMORY_PER_SOCKET


async def test_socket_follows_the_rooms_with_the_latest_activity(tmp_path: Path) -> None:
    with serving("uvicorn", tmp_path, CHAT_ROOMS_PER_SOCKET="2") as server:
        ila, kaushal = [await register(server.http, server.ws) for _ in range(2)]
        names = ["first", "second", "third"]
        rooms = []
        for name in names:
            body = {"name": name, "members": [ila.username]}
            rooms.append((await kaushal.post("/rooms/with-members", body)).json()["id"])
        first, second, third = rooms
        await kaushal.post(f"/rooms/{first}/messages", {"content": "Hi"})
        socket = ila.events()
        async with opened(socket) as (ready,):
            assert [room["id"] for room in ready["rooms"]] == [first, third]
            assert ready["more"] is True
            await kaushal.post(f"/rooms/{second}/messages", {"content": "unheard"})
            await kaushal.post(f"/rooms/{third}/messages", {"content": "heard"})
            assert (await socket.receive_type("message"))["message"] == "heard"
            # Known all the same: it may be used, followed, and its end is announced.
            await socket.send(message="from here", room_id=second, ref="r")
            assert (await socket.receive_type("ack"))["room_id"] == second
            await socket.send(type="follow", room_id=second)
            assert (await socket.receive_type("followed"))["version"] == 2
            await socket.send(type="unfollow", room_id=second)
            await socket.receive_type("unfollowed")
            await kaushal.delete(f"/rooms/{second}/members/{ila.username}")
            removed = await socket.receive_type("room_removed")
            assert removed == {"type": "room_removed", "room_id": second, "reason": "removed"}
        for person in (ila, kaushal):
            await person.http.aclose()
