"""/readyz with a Redis that dies, freezes and returns, and without a database."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from config import health
from config.health import ChannelLayer
from tests.clients import opened, register
from tests.metrics import scrape
from tests.redis_server import RedisServer, redis_running
from tests.servers import Server, free_port, serving

SEEN_TIMEOUT = 20.0
ACK_TIMEOUT = 5.0


def ready(server: Server) -> tuple[int, dict[str, str]]:
    # Loading certificates would cost more than the answer.
    answer = httpx.get(f"{server.http}/readyz", timeout=20, verify=False)
    return answer.status_code, answer.json()


async def ready_as(server: Server, status: str) -> dict[str, str]:
    """Waits for the status; the answer is 200 all the while."""
    deadline = time.monotonic() + SEEN_TIMEOUT
    while True:
        code, answer = ready(server)
        assert code == 200, answer
        if answer["status"] == status:
            return answer
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)


@contextmanager
def frozen(redis: RedisServer) -> Iterator[None]:
    os.kill(redis.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis.process.pid, signal.SIGCONT)


async def test_service_without_redis_is_degraded_and_ready(tmp_path: Path) -> None:
    with redis_running() as redis, serving("uvicorn", tmp_path, REDIS_URL=redis.url) as server:
        answer = await ready_as(server, "ok")
        assert answer == {"status": "ok", "database": "ok", "channel_layer": "ok"}
        with frozen(redis):
            answer = await ready_as(server, "degraded")
        assert answer == {"status": "degraded", "database": "ok", "channel_layer": "unreachable"}
        await ready_as(server, "ok")

        person = await register(server.http, server.ws)
        socket = person.public("degraded")
        async with person.http, opened(socket):
            redis.kill()
            await ready_as(server, "degraded")
            failures, deadline = 0.0, time.monotonic() + SEEN_TIMEOUT
            while not failures:
                assert time.monotonic() < deadline
                await socket.send(message="said without Redis", ref="r")
                await socket.receive_type("ack", ACK_TIMEOUT)
                failures = (await scrape(server))["chat_broker_failures_total"]
            redis.start()
            await ready_as(server, "ok")


async def test_missing_redis_of_two_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REDIS_TIMEOUT", 10.0)
    monkeypatch.setattr(health, "REDIS_INTERVAL", 3600.0)
    with redis_running() as redis:
        layer = ChannelLayer([redis.url, f"redis://127.0.0.1:{free_port()}/0"])
        assert await layer.state() == "1 of 2 unreachable"
        redis.kill()
        # Not checked again so soon.
        assert await layer.state() == "1 of 2 unreachable"
        monkeypatch.setattr(health, "REDIS_INTERVAL", 0.0)
        assert await layer.state() == "2 of 2 unreachable"


async def test_unresolvable_redis_is_unreachable() -> None:
    assert await ChannelLayer(["redis://no-such-host.invalid:6379/0"]).state() == "unreachable"


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not checked its database yet."""
    monkeypatch.setattr(health, "_migrated", [])


def unavailable(database: str) -> dict[str, str]:
    return {"status": "unavailable", "database": database, "channel_layer": "in-process"}


@pytest.mark.django_db
def test_database_without_a_migration_is_not_ready(client: Client, unsure: None) -> None:
    last = MigrationRecorder.Migration.objects.filter(app="messaging").latest("pk")
    last.delete()
    for path in ("/readyz", "/readyz/"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (503, unavailable("migrations missing"))
        assert answer.headers["Retry-After"] == "1"
    assert client.get("/healthz").status_code == 200
    # Ready as soon as the migration is there.
    last.save(force_insert=True)
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_hanging_database_is_not_ready(
    client: Client, unsure: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/readyz").status_code == 200

    def away(connection: BaseDatabaseWrapper) -> None:
        raise OperationalError

    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", away)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, unavailable("unreachable"))
    assert client.get("/healthz").status_code == 200
