"""The snippets of clients/python/README.md run as they are printed, at a real server."""

import asyncio
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_backend_client import ChatClient
from tests.servers import ROOT, Server, serving

README = ROOT / "clients" / "python" / "README.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
TALK, BOT, EVENTS, REST = SNIPPETS
PASSWORD = "password123"
ADDRESS = '"http://127.0.0.1:8000"'


async def start(snippet: str, server: Server, folder: Path) -> Process:
    assert snippet.count(ADDRESS) == 1
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        "-c",
        snippet.replace(ADDRESS, repr(server.http)),
        cwd=folder,
        env=server.environment | {"PYTHONPATH": str(README.parent)},
        stdout=PIPE,
        stderr=PIPE,
    )


async def output(process: Process) -> str:
    async with asyncio.timeout(30):
        stdout, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()[-2000:]
    return stdout.decode()


async def next_line(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def stop(process: Process) -> None:
    process.terminate()
    async with asyncio.timeout(10):
        await process.communicate()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own: the snippets register the names that they show."""
    with serving("uvicorn", tmp_path) as running:
        yield running


async def test_snippets_do_what_the_readme_says(server: Server, tmp_path: Path) -> None:
    talk = await output(await start(TALK, server, tmp_path))
    assert talk == "sent 1\nila writes Hey everyone!\n"
    async with ChatClient(server.http) as ila, ChatClient(server.http) as other:
        await ila.login("ila", PASSWORD)
        await other.register("bot", PASSWORD)
        await _bot_answers_after_each_start(ila, server, tmp_path)
        await _events_are_printed(other, server, tmp_path)
    report = await output(await start(REST, server, tmp_path))
    assert report == "1 ila Saturday at ten?\n"


async def _bot_answers_after_each_start(ila: ChatClient, server: Server, folder: Path) -> None:
    async with ila.room("sports") as room:
        changes = room.changes()
        bot = await start(BOT, server, folder)
        while "bot" not in room.online:
            await asyncio.sleep(0.05)
        for again in (False, True):
            await room.send("ping")
            if again:
                bot = await start(BOT, server, folder)
            async with asyncio.timeout(30):
                async for change in changes:
                    if change.kind == "message" and change.message.username == "bot":
                        assert change.message.content == "pong"
                        break
            # The bot stores where it is after its answer; without that it would begin anew.
            async with asyncio.timeout(30):
                while not (folder / "position.json").exists():
                    await asyncio.sleep(0.05)
            await stop(bot)


async def _events_are_printed(other: ChatClient, server: Server, folder: Path) -> None:
    async with other.events() as events, asyncio.timeout(30):
        arrivals = events.events()
        watching = await start(EVENTS, server, folder)
        async for event in arrivals:
            if event.kind == "user_presence" and event.username == "ila" and event.online:
                break
        room = await events.private("ila")
        await room.send("psst")
        assert await next_line(watching) == "now in ['ila', 'bot']"
        assert await next_line(watching) == f"{room.id} bot psst"
        await stop(watching)
