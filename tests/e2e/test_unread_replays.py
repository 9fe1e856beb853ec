"""Sockets of one user that resume and never read cost little memory."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from tests.clients import Person, fresh, opened, register
from tests.servers import Server, serving

from .test_floods import not_reading

SOCKETS = 50
MISSED = 300
TEXT = "😀" * 4000
"""16 KB a message, so 5 MB for each socket."""
MAX_MEMORY = 100 * 1024 * 1024
WATCHED_DURATION = 4.0


@pytest.fixture(scope="module", params=["uvicorn", "daphne"])
def limited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Limits have their defaults, except those of messages."""
    folder = tmp_path_factory.mktemp(f"unread-{request.param}")
    with serving(request.param, folder, CHAT_SOCKETS_PER_USER="50") as server:
        yield server


async def fill_room(person: Person, room: str) -> None:
    socket = person.public(room)
    async with opened(socket):
        for number in range(MISSED):
            await socket.send(type="message", message=TEXT, ref=f"{number}")
            await socket.receive_type("ack")


async def memory_of_unread_replays(server: Server, person: Person, room: str) -> int:
    """Returns the server's growth in bytes.

    Meanwhile the user's next socket replays it all.
    """
    process = psutil.Process(server.process.pid)
    before = most = process.memory_info().rss
    with ExitStack() as stack:
        for since in range(SOCKETS - 1):
            # Each asks for another version, or they would share one read.
            url = person.public(room, since=since).url
            raw, _ = await asyncio.to_thread(not_reading, url)
            stack.enter_context(raw)
        reading = asyncio.create_task(replayed(person, room))
        until = time.monotonic() + WATCHED_DURATION
        while time.monotonic() < until:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.02)
        assert await reading == list(range(1, MISSED + 1))
    return most - before


async def replayed(person: Person, room: str) -> list[int]:
    last = person.public(room, since=0)
    async with opened(last):
        frames = await last.receive_until("resumed", within=30)
    assert frames[-1]["complete"]
    return [frame["version"] for frame in frames if frame["type"] == "message"]


async def test_unread_replays_of_a_user_cost_little_memory_and_block_no_other_client(
    limited: Server,
) -> None:
    person = await register(limited.http, limited.ws)
    room = fresh("much")
    await fill_room(person, room)
    grown = await memory_of_unread_replays(limited, person, room)
    await person.http.aclose()
    assert grown < MAX_MEMORY, f"{grown / 1024**2:.0f} MB"
