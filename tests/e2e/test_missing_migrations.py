"""A database without its migrations: clients, readiness and the log name the command to run."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from typing_extensions import override

from tests.clients import Socket
from tests.postgres_server import postgres_running
from tests.servers import RELAXED, STARTS_TIMEOUT, Server, environment, free_port

SENTENCE = "The database lacks migrations: run python manage.py migrate"


class Unmigrated(Server):
    """Waits until the process is up: it never gets ready."""

    @override
    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTS_TIMEOUT
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{self.http}/healthz", timeout=2, verify=False)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self.kind} did not start: {self.log.read_text()[-2000:]}")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def unmigrated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(f"unmigrated-{request.param}")
    if request.param == "sqlite":
        with_database = environment(folder)
        yield from _running(folder, with_database, "daphne")
    else:
        with postgres_running() as postgres:
            with_database = environment(folder, DATABASE_URL=postgres.new_database())
            yield from _running(folder, with_database, "uvicorn")


def _running(folder: Path, variables: dict[str, str], kind: str) -> Iterator[Server]:
    server = Unmigrated(kind, free_port(), variables, folder / "server.log")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def forged_for_nobody() -> str:
    """An access token as the server makes them; without tables there is no user to have it."""
    claims = {"token_type": "access", "exp": int(time.time()) + 600, "jti": "a" * 32}
    return jwt.encode(claims | {"user_id": 1, "sid": 1}, RELAXED["SECRET_KEY"], "HS256")


async def test_a_missing_migrate_is_named_to_clients_and_once_in_the_log(
    unmigrated: Server,
) -> None:
    deadline = time.monotonic() + 10
    while "manage.py migrate" not in unmigrated.log.read_text():
        assert time.monotonic() < deadline, "the start does not mention it"
        time.sleep(0.05)
    account = {"username": "ila", "password": "password123"}
    bearer = {"Authorization": f"Bearer {forged_for_nobody()}"}
    for answer in (
        httpx.post(f"{unmigrated.http}/api/login", json=account, verify=False),
        httpx.post(f"{unmigrated.http}/api/register", json=account, verify=False),
        httpx.get(f"{unmigrated.http}/api/rooms", headers=bearer, verify=False),
    ):
        assert answer.status_code == 503, answer.text
        assert answer.json() == {"code": "busy", "detail": SENTENCE}
        assert int(answer.headers["Retry-After"]) >= 1
    async with Socket(f"{unmigrated.ws}/ws/chat/x/", token=forged_for_nobody()) as socket:
        code, frames = await socket.closed()
    assert (code, len(frames)) == (1012, 1)
    assert (frames[0]["code"], frames[0]["message"]) == ("busy", SENTENCE)
    ready = httpx.get(f"{unmigrated.http}/readyz", verify=False)
    assert (ready.status_code, ready.json()["database"]) == (503, "migrations missing")
    log = unmigrated.log.read_text()
    assert log.count("manage.py migrate") == 1
    assert "Traceback" not in log
