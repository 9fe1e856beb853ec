"""Subscribing to a host whose DNS hangs keeps no connection to the database."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import register
from tests.postgres_server import postgres_running
from tests.push_service import push_service_running
from tests.servers import Server, serving

POOL = 2
# Python imports it at the start of the server. A subscriber waits 4 s for the answer.
HANGING_DNS = """
import socket, time
real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **options):
    if str(host).endswith("hangs.example"):
        time.sleep(4.5)
        raise socket.gaierror("no answer")
    return real(host, *arguments, **options)
socket.getaddrinfo = getaddrinfo
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "sitecustomize.py").write_text(HANGING_DNS)
    with (
        postgres_running() as postgres,
        serving(
            "uvicorn",
            tmp_path,
            DATABASE_URL=postgres.new_database(),
            CHAT_DATABASE_POOL=f"{POOL}",
            CHAT_SUBSCRIBE_RATE="off",
            CHAT_FOLLOWER="command",
            PYTHONPATH=f"{tmp_path}",
        ) as running,
    ):
        yield running


async def test_requests_are_served_while_hosts_of_subscribers_are_looked_up(
    server: Server,
) -> None:
    ila = await register(server.http, server.ws)
    with push_service_running() as service:
        sent = service.device().subscription()
    async with ila.http:
        subscribing = [
            asyncio.ensure_future(
                ila.post("/push/subscriptions", sent | {"endpoint": f"https://{n}.hangs.example/"})
            )
            for n in range(POOL + 1)
        ]
        await asyncio.sleep(1)
        begun = time.monotonic()
        assert (await ila.get("/my-rooms")).status_code == 200
        assert time.monotonic() - begun < 1
        assert not [one.result().text for one in subscribing if one.done()]
        answers = await asyncio.gather(*subscribing)
        # The addresses are checked again at each push.
        assert [one.status_code for one in answers] == [201] * len(answers)
