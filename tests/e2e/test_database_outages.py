"""PostgreSQL hangs or has too few connections: every request gets an answer."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.clients import Person, fresh, opened, register
from tests.postgres_server import PostgresServer, postgres_running
from tests.servers import RELAXED, ROOT, Server, serving

HOME = "https://web.example.com"
LIMITS = {"CHAT_DATABASE_TIMEOUT": "3", "CHAT_DATABASE_POOL": "3", "ALLOWED_ORIGINS": HOME}
BUSY_TIMEOUT = 15.0
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
SHOW = """
from django.db import connection
with connection.cursor() as cursor:
    cursor.execute("SHOW statement_timeout")
    print("timeout", *cursor.fetchone())
"""
# A process frozen between two statements: it cannot be stopped there from outside.
STAND_STILL = """
import os, signal
import config.asgi
from accounts.kernel.db import writing
from rooms.models import Room
with writing():
    Room.objects.select_for_update().get(pk=os.environ["ROOM"])
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
FORGET_ALL_BUT_THE_FIRST = """
WITH lost AS (
    UPDATE rooms_room SET version = 1, last_seq = 1 WHERE name = %(room)s RETURNING id
) DELETE FROM messaging_message WHERE version > 1 AND room_id IN (SELECT id FROM lost)
"""
BACK_TIMEOUT = 30.0


@dataclass
class Site:
    server: Server
    postgres: PostgresServer
    database: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("away")
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_running())
        url = postgres.new_database()
        server = stack.enter_context(serving("uvicorn", folder, DATABASE_URL=url, **LIMITS))
        yield Site(server, postgres, url)


@contextmanager
def standing_still(site: Site, room: int) -> Iterator[None]:
    """A second process has locked a room and then freezes."""
    environment = site.server.environment | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "ROOM": str(room),
    }
    command = [sys.executable, "-c", STAND_STILL]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            yield
        finally:
            process.kill()


async def until_answered(person: Person) -> None:
    async with asyncio.timeout(BACK_TIMEOUT):
        while (await person.get("/my-rooms")).status_code != 200:
            await asyncio.sleep(0.1)


async def test_hanging_database_answers_busy_and_recovers(
    site: Site,
) -> None:
    ila = await register(site.server.http, site.server.ws)
    socket = ila.public(fresh("away"))
    async with ila.http, opened(socket):
        with site.postgres.frozen():
            await socket.send(type="message", message="x", ref="1", client_id="once")
            by_rest = asyncio.ensure_future(ila.http.get("/my-rooms", headers={"Origin": HOME}))
            refused = await socket.receive_type("error", BUSY_TIMEOUT)
            assert (refused["code"], refused["ref"]) == ("busy", "1")
            assert refused["retry_after"] > 0
            answer = await by_rest
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Access-Control-Allow-Origin"] == HOME
        await socket.send(type="message", message="x", ref="2", client_id="once")
        stored = await socket.receive_type("ack", BACK_TIMEOUT)
        assert (stored["ref"], stored["seq"]) == ("2", 1)
        await until_answered(ila)


async def test_statement_is_cancelled_once_its_client_has_its_answer(site: Site) -> None:
    ila = await register(site.server.http, site.server.ws)
    with psycopg.connect(site.database, autocommit=True) as watcher:
        async with ila.http:
            room = (await ila.post("/rooms", {"name": fresh("long")})).json()["id"]
            with site.postgres.locked(site.database, "rooms_room"):
                answer = await ila.patch(f"/rooms/{room}", {"title": "Never"})
                assert (answer.status_code, answer.json()["code"]) == (503, "busy")
                async with asyncio.timeout(BUSY_TIMEOUT):
                    while watcher.execute(WAITING).fetchall():
                        await asyncio.sleep(0.1)
            await until_answered(ila)


def test_management_command_has_no_statement_timeout(site: Site) -> None:
    environment = os.environ | RELAXED | LIMITS | {"DATABASE_URL": site.database}
    command = [sys.executable, "manage.py", "shell", "-c", SHOW]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert run.stdout.decode().split()[-2:] == ["timeout", "0"]


async def test_frozen_process_does_not_block_other_rooms(site: Site) -> None:
    """One writer serves all rooms: without a timeout it would wait again and again."""
    ila = await register(site.server.http, site.server.ws)
    async with ila.http:
        locked, other = [
            (await ila.post("/rooms", {"name": fresh("still")})).json()["id"] for _ in range(2)
        ]
        with standing_still(site, locked):
            requests = [
                ila.post(f"/rooms/{room}/messages", {"content": "x"}) for room in (locked, other)
            ]
            answers = await asyncio.gather(*requests)
    assert [one.status_code for one in answers] == [201, 201]


async def test_exhausted_pool_answers_503_and_recovers(site: Site) -> None:
    """Three connections, and eight writers of a locked room."""
    ila = await register(site.server.http, site.server.ws)
    async with ila.http:
        room = (await ila.post("/rooms", {"name": fresh("pool")})).json()["id"]
        with site.postgres.locked(site.database, "rooms_room"):
            waiting = [ila.patch(f"/rooms/{room}", {"title": f"{n}"}) for n in range(8)]
            answers = await asyncio.gather(*waiting)
        assert {(one.status_code, one.json()["code"]) for one in answers} == {(503, "busy")}
        await until_answered(ila)


async def test_clients_ahead_of_a_promoted_standby_reload(site: Site) -> None:
    """A standby may lack changes that clients have seen, and reuses their versions."""
    ila = await register(site.server.http, site.server.ws)
    kaushal = await register(site.server.http, site.server.ws)
    name = fresh("standby")
    sender, receiver = ila.public(name), kaushal.public(name)
    async with ila.http, kaushal.http:
        async with opened(sender, receiver):
            for text in ("kept", "lost", "lost too"):
                await sender.send(message=text)
            seen = [await receiver.receive_type("message") for _ in range(3)][-1]["version"]
            with psycopg.connect(site.database) as standby:
                standby.execute(FORGET_ALL_BUT_THE_FIRST, {"room": name})
            assert (await receiver.closed())[0] == 1012
        back = kaushal.public(name, since=seen)
        async with opened(back) as (ready,):
            assert ready["version"] == 1
            assert (await back.receive_type("resumed"))["complete"] is False
