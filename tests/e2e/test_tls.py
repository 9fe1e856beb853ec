"""`rediss://` and `sslmode` encrypt, and verify certificates."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from tests.clients import (
    REPAIR_TIMEOUT,
    Socket,
    assert_received_by_hint,
    fresh,
    opened,
    register,
    until_hints_arrive,
)
from tests.postgres_server import postgres_running
from tests.redis_server import RedisServer, redis_running
from tests.servers import ROOT, environment, manage, serving_together
from tests.tls_proxy import Authority, TlsProxy, make_authority, tls_proxy_running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that clients here do not trust."""
    return make_authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_running() as running:
        yield running


def redis_url(front: TlsProxy, trusted: Authority) -> str:
    return f"rediss://localhost:{front.port}/0?ssl_ca_certs={quote(str(trusted.file))}"


@asynccontextmanager
async def over_two_processes(folder: Path, url: str) -> AsyncIterator[tuple[Socket, Socket]]:
    """A group of two users on two processes that share a database and this Redis."""
    with serving_together(["uvicorn", "uvicorn"], folder, REDIS_URL=url) as servers:
        owner, member = [await register(server.http, server.ws) for server in servers]
        name = fresh("secured")
        await owner.post("/rooms/with-members", {"name": name, "members": [member.username]})
        near, far = owner.group(name), member.group(name)
        async with opened(near, far), aclosing(owner.http), aclosing(member.http):
            yield near, far


async def test_hints_reach_other_processes_over_tls(
    redis: RedisServer, authority: Authority, tmp_path: Path
) -> None:
    with tls_proxy_running(redis.port, authority) as front:
        async with over_two_processes(tmp_path, redis_url(front, authority)) as (near, far):
            await until_hints_arrive(near, far)
            for number in range(4):
                await assert_received_by_hint(near, far, f"{number}")
        assert front.connections


async def test_redis_with_an_untrusted_certificate_receives_nothing(
    redis: RedisServer, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    with tls_proxy_running(redis.port, authority) as front:
        async with over_two_processes(tmp_path, redis_url(front, stranger)) as (near, far):
            await near.send(type="message", message="by the repair")
            assert (await far.receive_type("message", REPAIR_TIMEOUT))["message"] == "by the repair"
        assert not front.connections


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[str, str]]:
    """Returns PostgreSQL's Unix socket and the name of an empty database there."""
    with postgres_running() as postgres:
        url = urlsplit(postgres.new_database())
        folder = unquote(url.netloc.rpartition("@")[2])
        yield f"{folder}/.s.PGSQL.5432", url.path.strip("/")


def database_url(front: TlsProxy, name: str, trusted: Authority) -> str:
    trust = f"sslmode=verify-full&sslrootcert={quote(str(trusted.file), safe='')}"
    return f"postgres://postgres:@localhost:{front.port}/{name}?{trust}"


def test_database_is_reached_over_tls(
    database: tuple[str, str], authority: Authority, tmp_path: Path
) -> None:
    socket, name = database
    with tls_proxy_running(socket, authority, postgres=True) as front:
        url = database_url(front, name, authority)
        manage(environment(tmp_path, DATABASE_URL=url), "migrate", "--verbosity", "0")
        assert front.connections


def test_database_with_an_untrusted_certificate_is_not_used(
    database: tuple[str, str], authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    socket, name = database
    with tls_proxy_running(socket, authority, postgres=True) as front:
        done = subprocess.run(
            [sys.executable, "manage.py", "migrate"],
            cwd=ROOT,
            env=environment(tmp_path, DATABASE_URL=database_url(front, name, stranger)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "certificate verify failed" in done.stderr
        assert not front.connections
